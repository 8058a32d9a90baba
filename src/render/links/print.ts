/**
 * What stands in a message instead of a link: `https://t.example.com/r/<token>/<link>`. The text of a link with a constant URL is signed once a
 * delivery; that of a personalised one when its message is made, from what the template printed. What cannot be a redirect's target is
 * left as it was printed.
 */
import type { Tracking } from "../../model/delivery.ts";
import { type Link, MOST_URL, signLink, targetOf } from "../../model/link.ts";
import type { TemplateNode } from "../../model/template.ts";
import { ANONYMOUS, type TokenKey } from "../../model/token.ts";
import { type Attribute, attributeValue } from "../html.ts";
import { urlLength } from "./in-text.ts";

/** What is signed once a delivery. */
export type Target = Omit<Link, "delivery">;

/** What the links of one message are made of. */
export interface MessageLinks {
  /** What they begin with, up to and with the slash behind the token. */
  readonly click: string;
  readonly open: string;
  /** Signed texts, by position in the targets. */
  readonly texts: readonly string[];
  sign(number: number, url: string): string;
}

/** Where the variables of a message keep them: no template can name a symbol. */
export const LINKS = Symbol("links");

/** Deliveries whose signed texts are kept, and texts: a content of many small deliveries is compiled once, and signed once for each. */
const KEPT = 64;
const KEPT_TEXTS = 20_000;

/** The links of each message. `delivery` is not looked at where links name none. */
export function openLinks(
  tracking: Tracking,
  targets: readonly Target[],
  key: TokenKey,
): (delivery: number, token: string) => MessageLinks {
  const kept = new Map<number, Pick<MessageLinks, "texts" | "sign">>();
  const most = Math.min(KEPT, Math.ceil(KEPT_TEXTS / Math.max(1, targets.length)));

  const signed = (asked: number): Pick<MessageLinks, "texts" | "sign"> => {
    const delivery = tracking.single ? 0 : asked;
    let made = kept.get(delivery);
    if (made === undefined) {
      if (kept.size >= most) kept.delete(kept.keys().next().value ?? 0);
      made = {
        texts: targets.map((target) => signLink(key, { ...target, delivery })),
        sign: (number, url) => signLink(key, { kind: "click", delivery, number, url }),
      };
      kept.set(delivery, made);
    }
    return made;
  };

  return (delivery, token) => {
    const { texts, sign } = signed(delivery);
    const name = tracking.anonymous ? ANONYMOUS : token;
    return { click: `${tracking.url}/r/${name}/`, open: `${tracking.url}/o/${name}/`, texts, sign };
  };
}

type Rewritten = TemplateNode & { kind: "rewritten" };

/** Longer than any address of ours: token, link and what is around them. */
const ROOM = 512;

/** A node that prints something made from a message's links. */
export function linkNode(print: (links: MessageLinks) => string, room = ROOM): Rewritten {
  return { kind: "rewritten", body: [], room, print: (_, root) => print(linksOf(root)) };
}

/** The address of the target at a position; base32 makes 1.6 characters of each of its URL's. */
export function staticLink(position: number, url: string): Rewritten {
  return linkNode(({ click, texts }) => click + (texts[position] ?? ""), ROOM + url.length * 2);
}

/** The target of what was printed, '' when nobody can be led there. */
export type Accept = (value: string) => string;

/** What prints an href: `quote` is what stands around it in the template. */
export function hrefNode(
  body: readonly TemplateNode[],
  number: number,
  quote: Attribute["quote"],
  accept: Accept,
): Rewritten {
  return {
    kind: "rewritten",
    body,
    room: ROOM,
    print(printed, root) {
      const value = quote === "" ? unquoted(printed) : printed.includes(quote) ? null : { raw: printed, quote: "" };
      const target = value === null ? "" : accept(attributeValue(value.raw));
      if (value === null || target === "") return printed;
      const { click, sign } = linksOf(root);
      return value.quote + click + sign(number, target) + value.quote;
    },
  };
}

/** What prints a URL in plain text, and perhaps something behind it. */
export function textUrlNode(body: readonly TemplateNode[], number: number, accept: Accept): Rewritten {
  return {
    kind: "rewritten",
    body,
    room: ROOM,
    print(printed, root) {
      const length = urlLength(printed);
      const target = length === 0 ? "" : accept(printed.slice(0, length));
      if (target === "") return printed;
      const { click, sign } = linksOf(root);
      return click + sign(number, target) + printed.slice(length);
    },
  };
}

/** `begin`: what every URL begins with. Where its host is in it, only characters can be wrong: 0.5 µs less than looking at all of it. */
export function acceptFor(begin: string, base: string): Accept {
  const host = /^https?:\/\/[^/?#]+[/?#]/i.exec(begin)?.[0] ?? "";
  const whole = (value: string): string => {
    const target = clickTarget(value, base);
    return "refused" in target ? "" : target.url;
  };
  if (host === "" || whole(host) !== host) return whole;
  return (value) => (/^[!-[\]-~]+$/.test(value) && value.length <= MOST_URL ? value : whole(value));
}

/**
 * Where a click on a URL leads, or why it is not tracked. What a browser forgives is forgiven: white space around a URL, line breaks in it,
 * spaces in its path (WHATWG URL §4.4). `base` is where tracked links lead: what leads there already stays.
 */
export function clickTarget(value: string, base: string): ReturnType<typeof targetOf> {
  // eslint-disable-next-line no-control-regex
  const url = /[\x00-\x20]/.test(value) ? forgiven(value) : value;
  if (url.startsWith(base) && !/^[A-Za-z0-9.:-]/.test(url.slice(base.length))) return { refused: "is one of ours" };
  return targetOf(url);
}

function forgiven(value: string): string {
  // A pattern with an end would look at a long row of spaces once for each of them.
  let start = 0;
  let end = value.length;
  while (start < end && value.charCodeAt(start) <= 32) start++;
  while (start < end && value.charCodeAt(end - 1) <= 32) end--;
  return value
    .slice(start, end)
    .replace(/[\t\n\r]/g, "")
    .replaceAll(" ", "%20");
}

/** Expressions may bring the quotes; null when what was printed is more than one value. */
function unquoted(printed: string): { readonly raw: string; readonly quote: string } | null {
  const [first] = printed;
  if (first === '"' || first === "'") {
    const inner = printed.slice(1, -1);
    return printed.length > 1 && printed.endsWith(first) && !inner.includes(first)
      ? { raw: inner, quote: first }
      : null;
  }
  return /[\s>]/.test(printed) ? null : { raw: printed, quote: "" };
}

function linksOf(root: unknown): MessageLinks {
  return (root as { readonly [LINKS]: MessageLinks })[LINKS];
}
