/**
 * A message as a mail program sees it: read from the octets an exchanger took, by a parser that is not ours (the only importer of mailparser
 * here), its HTML by a browser's rules. It knows nothing of what was submitted.
 */
import { Parser } from "htmlparser2";
import { simpleParser } from "mailparser";

export interface Letter {
  readonly to: string;
  /** Addresses of links a person sees, in order. */
  readonly links: readonly string[];
  /** Those nobody sees. */
  readonly hidden: readonly string[];
  /** Of pictures, in order. */
  readonly images: readonly string[];
  /** Of List-Unsubscribe, where one-click is offered (RFC 8058); '' for none. */
  readonly oneClick: string;
}

export async function readLetter(to: string, raw: Buffer): Promise<Letter> {
  const mail = await simpleParser(raw, {
    skipHtmlToText: true,
    skipTextToHtml: true,
    skipTextLinks: true,
    skipImageLinks: true,
  });
  return { to, ...linksOf(mail.html || ""), oneClick: oneClickOf(mail.headers.get("list")) };
}

/** Also of a template: expressions stay as they stand there. */
export function linksOf(html: string): Pick<Letter, "links" | "hidden" | "images"> {
  const found = { links: [] as string[], hidden: [] as string[], images: [] as string[] };
  const parser = new Parser({
    onopentag(name, { href, src, style = "" }) {
      if ((name === "a" || name === "area") && href !== undefined)
        found[style.replaceAll(" ", "").includes("display:none") ? "hidden" : "links"].push(href);
      if (name === "img" && src !== undefined) found.images.push(src);
    },
  });
  parser.end(html);
  return found;
}

interface ListHeaders {
  readonly unsubscribe?: { readonly url?: string };
  readonly "unsubscribe-post"?: { readonly name?: string };
}

function oneClickOf(list: unknown): string {
  const { unsubscribe, "unsubscribe-post": post } = (list ?? {}) as ListHeaders;
  return post?.name === "List-Unsubscribe=One-Click" ? (unsubscribe?.url ?? "") : "";
}
