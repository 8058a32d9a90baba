/**
 * (Content, recipient) → signed, wire-ready bytes. `compileContent` does what can be done once; `render` what each message needs: token,
 * variables, templates, encoding, headers, signatures. Pure: no clock, no threads, no files, so the API previews with the same
 * code that sends. A recipient whose variables break a template gets an error with the reason; nothing throws because of a recipient.
 */
import type { Content } from "../model/delivery.ts";
import { type Template, TemplateError } from "../model/template.ts";
import { signToken } from "../model/token.ts";
import { parseAddress } from "../smtp/addresses.ts";
import { type DkimSigner, dkimSignatures, openSigner, type RawHeader, signersFor } from "../smtp/dkim.ts";
import { dateHeader, mailbox, unstructured } from "../smtp/headers.ts";
import { writeBody } from "../smtp/mime.ts";
import type { Rendered, RenderJob, RenderKeys } from "./contract.ts";
import { type MessageLinks, openLinks } from "./links/print.ts";
import { type ContentProblem, type Plan, planOf, type Sender } from "./plan.ts";
import { htmlToText } from "./text.ts";
import { unsubscribeUrl, Unrenderable, variablesOf } from "./variables.ts";

/** A message taken apart, for a person to look at. */
export interface Preview {
  readonly subject: string;
  /** '' when there is no such part. */
  readonly html: string;
  readonly amp: string;
  readonly text: string;
  /** As on the wire. */
  readonly raw: Uint8Array;
}

export interface Composer {
  render(job: RenderJob, nowMs: number): Rendered;
  /** A string is the reason why the message cannot be made. */
  preview(job: RenderJob, nowMs: number): Preview | string;
}

const MAX_HEADER = 8192;

/** Throws an Error that names the first problem of the content, a missing token key, or a key that cannot be opened. */
export function compileContent(
  content: Content,
  keys: Omit<RenderKeys, "version"> & { readonly version?: number },
): Composer {
  const { plan, problems } = planOf(content);
  const [problem] = problems;
  if (problem !== undefined) throw new Error(describe(problem));
  const [token] = keys.token;
  if (token === undefined) throw new Error("there is no key to sign tokens with");
  const signers = signersFor(keys.dkim, plan.from.domain).map(openSigner);
  const { tracking } = content;
  const links = tracking === undefined ? null : openLinks(tracking, plan.targets, token);
  const compose = (job: RenderJob, nowMs: number): Made => {
    const own = signToken(token, job.id);
    return make(plan, own, links?.(job.delivery, own) ?? null, signers, job, nowMs);
  };
  return {
    render(job, nowMs) {
      try {
        const { from, bytes, smtputf8 } = compose(job, nowMs);
        return { id: job.id, error: "", from, bytes, smtputf8 };
      } catch (error) {
        return { id: job.id, error: reason(error) };
      }
    },
    preview(job, nowMs) {
      try {
        const { subject, html, amp, text, bytes } = compose(job, nowMs);
        return { subject, html, amp, text, raw: bytes };
      } catch (error) {
        return reason(error);
      }
    },
  };
}

interface Made {
  readonly from: string;
  readonly bytes: Uint8Array;
  readonly smtputf8: boolean;
  readonly subject: string;
  readonly html: string;
  readonly amp: string;
  readonly text: string;
}

function make(
  plan: Plan,
  token: string,
  links: MessageLinks | null,
  signers: readonly DkimSigner[],
  job: RenderJob,
  nowMs: number,
): Made {
  const to = parseAddress(job.address);
  if (typeof to === "string") throw new Unrenderable(`address: ${to}`);
  const variables = variablesOf(plan.content, job, to, token, links);
  const print = (name: string, template: Template): string =>
    template.constant ?? printed(name, template, variables, nowMs);
  const header = (name: string, template: Template): string => {
    const value = print(name, template);
    if (value.length > MAX_HEADER) throw new Unrenderable(`${name}: longer than ${MAX_HEADER} characters`);
    return value;
  };
  const html = plan.html === null ? "" : print("html", plan.html);
  const amp = plan.amp === null ? "" : print("amp", plan.amp);
  const text =
    plan.textFrom !== null
      ? htmlToText(print("html", plan.textFrom))
      : plan.text === null
        ? ""
        : print("text", plan.text);
  const subject = header("subject", plan.subject);
  const headers: RawHeader[] = [
    ["Message-ID", `<${token}@${plan.content.returnPathDomain}>`],
    ["Date", dateHeader(nowMs)],
    ["From", senderValue("From", plan.from, header)],
    ["To", mailbox("To", header("toName", plan.toName), to.address)],
    ["Subject", unstructured("Subject", subject)],
  ];
  if (plan.replyTo !== null) headers.push(["Reply-To", senderValue("Reply-To", plan.replyTo, header)]);
  pushUnsubscribe(headers, plan.content, token);
  if (plan.content.feedbackId !== "")
    headers.push(["Feedback-ID", unstructured("Feedback-ID", plan.content.feedbackId)]);
  for (const [name, template] of plan.headers)
    headers.push([name, unstructured(name, header(`headers.${name}`, template))]);
  headers.push(...plan.skeleton.headers);
  return {
    from: `b+${token}@${plan.content.returnPathDomain}`,
    bytes: assemble(headers, writeBody(plan.skeleton, { html, amp, text }), signers, nowMs),
    smtputf8: to.smtputf8 || plan.from.smtputf8 || plan.replyTo?.smtputf8 === true,
    subject,
    html,
    amp,
    text,
  };
}

function assemble(
  headers: readonly RawHeader[],
  body: Uint8Array,
  signers: readonly DkimSigner[],
  nowMs: number,
): Uint8Array {
  let head = dkimSignatures(headers, body, signers, Math.floor(nowMs / 1000));
  for (const [name, value] of headers) head += `${name}: ${value}\r\n`;
  head += "\r\n";
  // Outside ASCII only with SMTPUTF8 (RFC 6532 §3.1), where an address stands as it is.
  const length = Buffer.byteLength(head);
  const bytes = Buffer.allocUnsafe(length + body.length);
  bytes.write(head, 0, "utf8");
  bytes.set(body, length);
  return bytes;
}

function senderValue(name: string, sender: Sender, header: (name: string, template: Template) => string): string {
  return mailbox(name, header(name === "From" ? "from.name" : "replyTo.name", sender.name), sender.address);
}

/** RFC 2369 and RFC 8058. With an http address, as on a test machine, providers offer no one click (RFC 8058 §3.1). */
function pushUnsubscribe(headers: RawHeader[], content: Content, token: string): void {
  const url = unsubscribeUrl(content, token);
  const domain = content.listUnsubscribe?.mailtoDomain ?? "";
  const ways = [url === "" ? "" : `<${url}>`, domain === "" ? "" : `<mailto:u+${token}@${domain}?subject=unsubscribe>`];
  const value = ways.filter((way) => way !== "").join(",\r\n ");
  if (value !== "") headers.push(["List-Unsubscribe", value]);
  if (url !== "") headers.push(["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"]);
}

function printed(name: string, template: Template, variables: object, nowMs: number): string {
  try {
    return template.render(variables, nowMs);
  } catch (error) {
    if (error instanceof TemplateError) {
      const at = error.line > 0 ? ` (line ${error.line}, column ${error.column})` : "";
      throw new Unrenderable(`${name}: ${error.message}${at}`, { cause: error });
    }
    // A list of lists, ten thousand deep, is more than a stack can print.
    if (error instanceof RangeError) throw new Unrenderable(`${name}: a value is nested too deeply`, { cause: error });
    throw error;
  }
}

function reason(error: unknown): string {
  if (!(error instanceof Unrenderable)) throw error;
  // eslint-disable-next-line no-control-regex
  return error.message.replace(/[\x00-\x1f\x7f\u2028\u2029]+/g, " ").slice(0, 500);
}

function describe({ path, message, line, column }: ContentProblem): string {
  return `${path}: ${message}${line === undefined ? "" : ` (line ${line}, column ${column})`}`;
}
