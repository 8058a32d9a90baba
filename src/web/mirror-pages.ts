/**
 * A message as a web page: made by the same code that made the mail, with the variables of the ledger, so it shows what the reader has. Its links are
 * tracked as in the mail; the open pixel is left out, for the page is asked for through the redirection server, which counts it. Pictures that the mail
 * carries inside (`cid:`) go into the page. Compiled contents are kept, the least recently used go: a newsletter has a million mirror pages and
 * one content.
 */
import { createHash } from "node:crypto";
import type { Attachment, Content } from "../model/delivery.ts";
import type { TokenKey, TokenKeyRing } from "../model/token.ts";
import { type Composer, compileContent } from "../render/compose.ts";

export interface MirrorJob {
  readonly id: number;
  readonly deliveryId: number;
  readonly address: string;
  /** JSON object, '' for none. */
  readonly variables: string;
  /** When it was sent, epoch ms: what the template takes for now. */
  readonly at: number;
}

export interface MirrorPage {
  readonly html: string;
  /** Of ours, around the text of a mail that has no HTML. */
  readonly ours: boolean;
  /** Who looks at it is not to be written down. */
  readonly anonymous: boolean;
}

export interface MirrorPages {
  /** `load` gives the content of this hash. A string is the reason why there is no page; what `load` throws goes on. */
  page(
    source: { readonly hash: string; load(): Promise<Content> },
    keys: TokenKeyRing,
    job: MirrorJob,
  ): Promise<MirrorPage | string>;
}

interface Compiled {
  readonly composer: Composer;
  readonly textOnly: boolean;
  readonly anonymous: boolean;
  readonly images: ReadonlyMap<string, string>;
  readonly size: number;
}

const KEPT = 32;
/** Of templates and pictures. */
const KEPT_BYTES = 64 * 1024 * 1024;

export function openMirrorPages(): MirrorPages {
  const kept = new Map<string, Compiled>();
  /** Being read and compiled: once, however many ask for it at the same time. */
  const coming = new Map<string, Promise<Compiled | string>>();
  let bytes = 0;

  function keep(name: string, compiled: Compiled): void {
    kept.set(name, compiled);
    bytes += compiled.size;
    for (const [oldest, { size }] of kept) {
      if ((kept.size <= KEPT && bytes <= KEPT_BYTES) || oldest === name) break;
      kept.delete(oldest);
      bytes -= size;
    }
  }

  async function make(name: string, load: () => Promise<Content>, key: TokenKey): Promise<Compiled | string> {
    const content = await load();
    try {
      const compiled = compile(content, key);
      keep(name, compiled);
      return compiled;
    } catch (error) {
      // Checked when it was submitted, but by an older version of us.
      return `content: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  function compiledOf(
    name: string,
    load: () => Promise<Content>,
    key: TokenKey,
  ): Promise<Compiled | string> | Compiled {
    const there = kept.get(name);
    if (there !== undefined) {
      kept.delete(name);
      kept.set(name, there);
      return there;
    }
    let one = coming.get(name);
    if (one === undefined) {
      one = make(name, load, key).finally(() => coming.delete(name));
      coming.set(name, one);
    }
    return one;
  }

  return {
    async page({ hash, load }, keys, job) {
      const signing = keys[0];
      if (signing === undefined) return "there is no key to sign links with";
      const compiled = await compiledOf(`${hash} ${printOf(signing)}`, load, signing);
      if (typeof compiled === "string") return compiled;
      const { composer, images, textOnly, anonymous } = compiled;
      const made = composer.preview({ ...job, delivery: job.deliveryId }, job.at);
      if (typeof made === "string") return made;
      if (textOnly) return { html: textPage(made.subject, made.text), ours: true, anonymous };
      return { html: withImages(made.html, images), ours: false, anonymous };
    },
  };
}

function printOf({ id, secret }: TokenKey): string {
  return `${id} ${createHash("sha256").update(secret).digest("base64")}`;
}

function compile(content: Content, key: TokenKey): Compiled {
  const { html, tracking } = content;
  const images = content.attachments.filter(({ contentId }) => contentId !== "");
  const shown: Content = {
    ...content,
    // What the page does not show is not made.
    ...(html === "" ? {} : { amp: "", text: "", textFromHtml: false }),
    attachments: [],
    ...(tracking === undefined ? {} : { tracking: { ...tracking, opens: false } }),
  };
  const composer = compileContent(shown, { token: [key], dkim: [] });
  const map = new Map(images.map((image) => [image.contentId, dataUrl(image)]));
  let size = html.length + content.text.length;
  for (const text of map.values()) size += text.length;
  return { composer, textOnly: html === "", anonymous: tracking?.anonymous === true, images: map, size };
}

/** Type and base64 were checked with the content: nothing in them ends an attribute. */
function dataUrl({ contentType, data }: Attachment): string {
  return `data:${contentType.split(";", 1)[0]};base64,${data.replaceAll(/[\r\n\t ]/g, "")}`;
}

/** Of a page with its pictures: one that is shown a thousand times is not written a thousand times. */
const MOST_PAGE = 12 * 1024 * 1024;

/** Names of pictures in the page, wherever they stand: in `src`, `background`, or a style. */
function withImages(html: string, images: ReadonlyMap<string, string>): string {
  if (images.size === 0) return html;
  let size = html.length;
  return html.replaceAll(
    /(["'=(]\s{0,10})cid:([A-Za-z0-9.!#$%&'*+/=?^_`{|}~@-]{1,120}?)(?=["'\s)>])/gi,
    (whole, before: string, id: string) => {
      const url = images.get(id);
      if (url === undefined || size + url.length > MOST_PAGE) return whole;
      size += url.length;
      return before + url;
    },
  );
}

const TEXT_STYLE =
  ":root{color-scheme:light dark}body{max-width:46rem;margin:0 auto;padding:1.5rem 1.25rem}" +
  "pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:1rem/1.5 ui-monospace,monospace}";

function textPage(subject: string, text: string): string {
  return (
    `<!doctype html>\n<html><head><meta charset="utf-8"><title>${escaped(subject)}</title>` +
    '<meta name="viewport" content="width=device-width, initial-scale=1">' +
    `<style>${TEXT_STYLE}</style></head>\n<body><pre>${escaped(text)}</pre></body></html>\n`
  );
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (c) => ENTITIES[c]!);
}
