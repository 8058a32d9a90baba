/**
 * The few pages of our own: small, without script, picture or font, in the reader's language, legible on a phone and by a screen reader. An operator may put
 * pages of the same name into `redirector.pagesFolder`: they are read again when they change, and may have styles and pictures, but no script.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import { Fault } from "../../base/faults.ts";
import type { Log } from "../../base/log.ts";
import { openReread } from "../../base/reread.ts";
import { languageOf } from "./language.ts";
import { type Language, LANGUAGES, PAGE_NAMES, type PageName, type PageText, TEXTS } from "./texts.ts";

export interface Pages {
  /** Answers with a page and its status. */
  send(request: IncomingMessage, response: ServerResponse, name: PageName, headers?: readonly string[]): void;
  close(): void;
}

export interface PagesOptions {
  /** The operator's own; '' for none. */
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Told of each answer. */
  readonly sent: (status: number) => void;
}

const STATUS: Readonly<Record<PageName, number>> = {
  unsubscribe: 200,
  unsubscribed: 200,
  unknown: 404,
  gone: 410,
  later: 503,
};

/** Files of the operator's, and for which pages each is. */
const FILES: readonly (readonly [file: string, pages: readonly PageName[]])[] = [
  ["unsubscribe.html", ["unsubscribe"]],
  ["unsubscribed.html", ["unsubscribed"]],
  ["gone.html", ["unknown", "gone"]],
];
const REREAD_MS = 5_000;
const MOST_FILE = 1024 * 1024;

const STYLE = `:root{color-scheme:light dark}
body{margin:0;font:1.125rem/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff}
main{max-width:34rem;margin:0 auto;padding:3rem 1.25rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 1rem}
button{font:inherit;font-weight:600;margin-top:1rem;padding:.75rem 1.5rem;border:2px solid #0b57d0;border-radius:.5rem;background:#0b57d0;color:#fff;cursor:pointer}
button:focus-visible{outline:3px solid #0b57d0;outline-offset:3px}
@media(prefers-color-scheme:dark){body{color:#ececec;background:#161616}button{border-color:#a8c7fa;background:#a8c7fa;color:#062e6f}button:focus-visible{outline-color:#a8c7fa}}`;

const STRICT = "form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const OURS = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; ${STRICT}`;
const THEIRS = `default-src 'none'; style-src 'unsafe-inline' https:; img-src https: data:; font-src https: data:; ${STRICT}`;

interface Prepared {
  readonly body: Buffer;
  readonly headers: readonly string[];
}

/** Faults: SETTINGS_INVALID when the operator's pages cannot be read. */
export function openPages({ folder, clock, log, sent }: PagesOptions): Pages {
  const ours = new Map<string, Prepared>();
  for (const name of PAGE_NAMES) {
    for (const language of LANGUAGES)
      ours.set(`${name} ${language}`, prepare(pageOf(TEXTS[language][name], language), OURS, language));
  }
  const theirs = openReread({
    what: "pages",
    everyMs: REREAD_MS,
    clock,
    log,
    read: () => readFiles(folder),
    mark: (files) => JSON.stringify([...files].map(([name, { body }]) => [name, body.toString("latin1")])),
  });
  return {
    send(request, response, name, headers = []) {
      const language = languageOf(request.headers["accept-language"], LANGUAGES);
      const page = theirs.current.get(name) ?? (ours.get(`${name} ${language}`) as Prepared);
      response.writeHead(STATUS[name], [...page.headers, ...headers]);
      response.end(page.body);
      sent(STATUS[name]);
    },
    close: () => theirs.close(),
  };
}

function prepare(html: string, policy: string, language: Language | ""): Prepared {
  const body = Buffer.from(html, "utf8");
  const headers = {
    "content-type": "text/html; charset=utf-8",
    "content-length": String(body.length),
    ...(language === "" ? {} : { "content-language": language }),
    "cache-control": "no-store",
    "content-security-policy": policy,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
  };
  return { body, headers: Object.entries(headers).flat() };
}

/** Without an action the form is sent to the page's own address, whatever a gateway has made of it. */
function pageOf({ title, text, button }: PageText, language: Language): string {
  const form =
    button === ""
      ? ""
      : `
<form method="post"><input type="hidden" name="page" value="1"><button type="submit">${button}</button></form>`;
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p>${text}</p>${form}
</main>
</body>
</html>
`;
}

function readFiles(folder: string): Map<PageName, Prepared> {
  const pages = new Map<PageName, Prepared>();
  if (folder === "") return pages;
  for (const [file, names] of FILES) {
    const text = readFile(join(folder, file));
    if (text === null) continue;
    for (const name of names) pages.set(name, prepare(text, THEIRS, ""));
  }
  return pages;
}

/** null when there is none; whoever wants one page of their own need not make all of them. */
function readFile(path: string): string | null {
  try {
    const text = readFileSync(path, "utf8");
    if (text.length > MOST_FILE) throw new Error(`${path} is larger than ${MOST_FILE} octets`);
    return text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new Fault("SETTINGS_INVALID", `redirector.pagesFolder: ${(error as Error).message}`, error);
  }
}
