/**
 * A tracked message as a test wants to see it: each link of ours, once it has proved genuine, replaced by what it says, `[3 https://a.example/]`
 * for a click, `[trap 4 …]`, `[open]` for the pixel's address.
 */
import type { Content, ContentLink, Tracking } from "../../src/model/delivery.ts";
import { verifyLink } from "../../src/model/link.ts";
import { signToken } from "../../src/model/token.ts";
import { linksOfContent } from "../../src/render/check.ts";
import { compileContent } from "../../src/render/compose.ts";

export const TRACKING: Tracking = {
  url: "https://t.example.com",
  clicks: true,
  opens: false,
  textLinks: false,
  urlLabels: false,
  anonymous: false,
  trap: false,
  single: false,
};

export const CONTENT: Content = {
  subject: "s",
  html: "",
  text: "",
  textFromHtml: false,
  from: { name: "", address: "news@sender.example" },
  replyTo: null,
  toName: "",
  headers: [],
  attachments: [],
  globals: {},
  returnPathDomain: "bounces.sender.example",
  listUnsubscribe: null,
  feedbackId: "",
};

export const MESSAGE = 42;
export const DELIVERY = 7;
const key = { id: 1, secret: Buffer.alloc(32, 1) };
export const TOKEN = signToken(key, MESSAGE);

export interface Printed {
  readonly html: string;
  readonly amp: string;
  readonly text: string;
  readonly links: readonly ContentLink[];
}

/** What is printed with these variables. `tracking` null: without any. */
export function print(
  content: Partial<Content>,
  tracking: Partial<Tracking> | null = {},
  variables: object = {},
): Printed {
  const whole: Content = {
    ...CONTENT,
    ...content,
    ...(tracking === null ? {} : { tracking: { ...TRACKING, ...tracking } }),
  };
  const composer = compileContent(whole, { token: [key], dkim: [] });
  const job = { id: MESSAGE, address: "ann@example.com", variables: JSON.stringify(variables), delivery: DELIVERY };
  const made = composer.preview(job, 0);
  if (typeof made === "string") throw new Error(made);
  return { ...made, links: linksOfContent(whole) };
}

/** Every address of ours replaced by `said`. Throws where one is not genuine or names another message or delivery. */
export function resolve(printed: string, said: (kind: string, number: number, url: string) => string = words): string {
  const address = /https:\/\/t\.example\.com\/([ro])\/([^/"'<>\s]*)\/([a-z2-7]+)(\.gif)?/g;
  return printed.replace(address, (whole, letter: string, token: string, text: string, gif?: string) => {
    const link = verifyLink([key], text);
    if (link === null || token !== TOKEN || link.delivery !== DELIVERY) throw new Error(`not genuine: ${whole}`);
    if ((link.kind === "open") !== (letter === "o") || (letter === "o") !== (gif === ".gif")) throw new Error(whole);
    return said(link.kind, link.number, link.url);
  });
}

function words(kind: string, number: number, url: string): string {
  return kind === "open" ? "[open]" : `[${kind === "click" ? "" : `${kind} `}${number} ${url}]`;
}

/** HTML as it is tracked. */
export function trackedHtml(html: string, variables: object = {}, tracking: Partial<Tracking> = {}): string {
  return resolve(print({ html }, tracking, variables).html);
}

/** Plain text as it is tracked. */
export function trackedText(text: string, variables: object = {}, tracking: Partial<Tracking> = {}): string {
  return resolve(print({ text }, { textLinks: true, ...tracking }, variables).text);
}
