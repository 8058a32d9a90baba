/**
 * Content → plan: everything that is the same for all recipients is compiled, encoded and checked once. All problems are collected with
 * their path in the content, so that whoever submits it hears of all of them at once; a plan with problems is never rendered.
 */
import type { Attachment, Content, ContentLink } from "../model/delivery.ts";
import { compileTemplate, type Template, TemplateError, type TemplateMode, templateOf } from "../model/template.ts";
import { domainRefusal, parseAddress } from "../smtp/addresses.ts";
import { headerNameRefusal } from "../smtp/headers.ts";
import { buildSkeleton, encodingFor, type MimeAttachment, type Skeleton } from "../smtp/mime.ts";
import type { Target } from "./links/print.ts";
import { type Parts, trackParts } from "./links.ts";
import { textTemplate } from "./text.ts";

export interface ContentProblem {
  /** As in Content, but attachments and inline images counted apart: `html`, `from.name`, `headers.X-Own`, `attachments.0`. */
  readonly path: string;
  readonly message: string;
  readonly line?: number;
  readonly column?: number;
}

export interface Sender {
  readonly name: Template;
  readonly address: string;
  readonly domain: string;
  readonly smtputf8: boolean;
}

export interface Plan {
  readonly content: Content;
  readonly from: Sender;
  readonly replyTo: Sender | null;
  readonly toName: Template;
  readonly subject: Template;
  /** null: the part is absent. Links that are tracked are in their place. */
  readonly html: Template | null;
  readonly amp: Template | null;
  readonly text: Template | null;
  /** What the text of each message is made from where there is no text template, else null: HTML as it was written. */
  readonly textFrom: Template | null;
  readonly links: readonly ContentLink[];
  /** What is signed once a delivery. */
  readonly targets: readonly Target[];
  readonly headers: readonly (readonly [name: string, value: Template])[];
  readonly skeleton: Skeleton;
}

/** Compiles a content; `problems` is empty exactly when `plan` may be used. */
export function planOf(content: Content): { readonly plan: Plan; readonly problems: readonly ContentProblem[] } {
  const problems: ContentProblem[] = [];
  const wrong: Wrong = (path, message) => void problems.push({ path, message });
  const template = (source: string, mode: TemplateMode, path: string): Template => {
    try {
      return compileTemplate(source, mode);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      problems.push({ path, message: error.message, line: error.line, column: error.column });
      return compileTemplate("", "text");
    }
  };
  const sender = (path: string, mailbox: Content["from"]): Sender => {
    const name = template(mailbox.name, "header", `${path}.name`);
    const parsed = parseAddress(mailbox.address);
    if (typeof parsed !== "string") return { name, ...parsed };
    wrong(`${path}.address`, parsed);
    return { name, address: "", domain: "", smtputf8: false };
  };
  const html = content.html === "" ? null : template(content.html, "html", "html");
  const amp = (content.amp ?? "") === "" ? null : template(content.amp ?? "", "html", "amp");
  const text = textOf(content, html, template);
  if (html === null && text === null) wrong("html", "html or text must be there");
  checkEnvelope(content, wrong);
  const plan: Plan = {
    ...tracked(content, html, amp, text === "from-html" ? null : text),
    textFrom: text === "from-html" ? html : null,
    content,
    from: sender("from", content.from),
    replyTo: content.replyTo === null ? null : sender("replyTo", content.replyTo),
    toName: template(content.toName, "header", "toName"),
    subject: template(content.subject, "header", "subject"),
    headers: content.headers.map(([name, value]) => {
      checkHeaderName(content, name, wrong);
      return [name, template(value, "header", `headers.${name}`)] as const;
    }),
    skeleton: buildSkeleton({
      html: html === null ? null : encodingFor(content.html),
      amp: amp === null ? null : encodingFor(content.amp ?? ""),
      text: text === null ? null : encodingFor(content.text || content.html),
      attachments: attachmentsOf(content.attachments, wrong),
    }),
  };
  return { plan, problems };
}

type Wrong = (path: string, message: string) => void;
type Compile = (source: string, mode: TemplateMode, path: string) => Template;

/** With tracked links in their place, where the content is tracked at all. */
function tracked(
  { tracking }: Content,
  html: Template | null,
  amp: Template | null,
  text: Template | null,
): Pick<Plan, "html" | "amp" | "text" | "links" | "targets"> {
  if (tracking === undefined) return { html, amp, text, links: [], targets: [] };
  const nodes = { html: html?.nodes ?? null, amp: amp?.nodes ?? null, text: text?.nodes ?? null };
  const parts = trackParts(nodes, tracking);
  const again = (made: Parts["html"], mode: TemplateMode): Template | null =>
    made === null ? null : templateOf(made, mode);
  return {
    html: again(parts.html, "html"),
    amp: again(parts.amp, "html"),
    text: again(parts.text, "text"),
    links: parts.links,
    targets: parts.targets,
  };
}

function textOf(content: Content, html: Template | null, template: Compile): Template | "from-html" | null {
  if (content.text !== "") return template(content.text, "text", "text");
  if (!content.textFromHtml || html === null) return null;
  const nodes = textTemplate(html.nodes);
  return nodes === null ? "from-html" : templateOf(nodes, "text");
}

function checkHeaderName(content: Content, name: string, wrong: Wrong): void {
  const refused = headerNameRefusal(name);
  const lower = name.toLowerCase();
  if (refused !== "") wrong(`headers.${name}`, refused);
  if (lower.startsWith("list-unsubscribe") && content.listUnsubscribe !== null) {
    wrong(`headers.${name}`, "is written from listUnsubscribe: give one or the other");
  }
  if (lower === "feedback-id" && content.feedbackId !== "") {
    wrong(`headers.${name}`, "is written from feedbackId: give one or the other");
  }
}

function checkEnvelope({ returnPathDomain, listUnsubscribe, feedbackId, tracking }: Content, wrong: Wrong): void {
  const refused = domainRefusal(returnPathDomain);
  if (refused !== "") wrong("returnPathDomain", refused);
  if (!/^[\x20-\x7e]{0,200}$/.test(feedbackId)) wrong("feedbackId", "must be printable ASCII, at most 200 characters");
  // It stands in attributes, quoted or not.
  if (tracking !== undefined && !/^https?:\/\/[A-Za-z0-9.:[\]-]{1,255}$/.test(tracking.url))
    wrong("tracking.url", "must be http(s)://host[:port] without a path");
  if (listUnsubscribe === null) return;
  const { url, mailtoDomain } = listUnsubscribe;
  if (url !== "" && !/^https?:\/\/[\x21-\x3b\x3d\x3f-\x7e]{1,500}$/.test(url)) {
    wrong("listUnsubscribe.url", "must be an http or https address of printable ASCII");
  }
  const mailRefused = mailtoDomain === "" ? "" : domainRefusal(mailtoDomain);
  if (mailRefused !== "") wrong("listUnsubscribe.mailtoDomain", mailRefused);
}

function attachmentsOf(attachments: readonly Attachment[], wrong: Wrong): MimeAttachment[] {
  const count = { attachments: 0, inlineImages: 0 };
  return attachments.map(({ filename, contentType, data, contentId }) => {
    const kind = contentId === "" ? "attachments" : "inlineImages";
    const path = `${kind}.${count[kind]++}`;
    // The type stands on a header line of its own; parameters may follow it.
    if (
      !/^[A-Za-z0-9!#$&^_.+-]{1,64}\/[A-Za-z0-9!#$&^_.+-]{1,64}(?:; ?[A-Za-z0-9-]{1,40}="?[A-Za-z0-9 ._+-]{1,80}"?){0,4}$/.test(
        contentType,
      )
    ) {
      wrong(`${path}.contentType`, "is not a media type such as application/pdf");
    }
    // Readers decode an encoded word in a name too (against RFC 2047 §5), however it was written: what it hides would be the name.
    if (!/^[^\p{Cc}]{0,200}$/u.test(filename) || filename.includes("=?"))
      wrong(`${path}.filename`, "has control characters, an encoded word or more than 200 characters");
    if (!/^(?:[A-Za-z0-9.!#$%&'*+/=?^_`{|}~@-]{1,120})?$/.test(contentId))
      wrong(`${path}.contentId`, "is not a valid Content-ID");
    const clean = data.replace(/[\r\n\t ]/g, "");
    const digits = clean.replace(/={0,2}$/, "");
    if (/[^A-Za-z0-9+/]/.test(digits) || digits.length % 4 === 1) wrong(`${path}.data`, "is not base64");
    const bytes = Buffer.from(digits, "base64");
    return { filename, contentType, contentId, bytes };
  });
}
