/**
 * What a request asks for. Mail goes through gateways, readers and people who copy links, and comes back with the case folded, characters percent-encoded
 * once or twice, slashes doubled, and punctuation, query strings or fragments appended: all of that is understood. Nothing here decides
 * whether a token or link is genuine; what was changed for good does not verify.
 */

export type Route =
  | { readonly kind: "click" | "open"; /** '-': anonymous. */ readonly token: string; readonly link: string }
  | { readonly kind: "unsubscribe" | "mirror"; readonly token: string }
  /** `query` as it stands in the target, without its question mark. */
  | { readonly kind: "web" | "log"; readonly query: string }
  | { readonly kind: "health" | "robots" | "metrics" | "icon" | "unknown" };

const EXACT = /^\/([ro])\/([a-z2-7]{31}|-)\/([a-z2-7]+)(?:\.gif)?$/;
const TOLERANT = /^\/([roum])\/(-|[a-z2-7]+)(?![a-z0-9_-])(?:\/([a-z2-7]*))?/;
/** A query may be longer than all that is looked at of a path. */
const MOST_PATH = 8192;

const PLACES: ReadonlyMap<string, "web" | "health" | "robots" | "icon"> = new Map([
  ["/t", "web"],
  ["/r/test", "health"],
  ["/robots.txt", "robots"],
  ["/favicon.ico", "icon"],
]);
/** For programs that write them as they are: a proxy in front that lets nobody there is not got round by another spelling. */
const PRIVATE: ReadonlyMap<string, "log" | "metrics"> = new Map([
  ["/log", "log"],
  ["/metrics", "metrics"],
]);
const TAIL = /[/.,;:!)>"']+$/;
/** Of a place with its tail: the pattern looks at a row of dots once for each of them. */
const MOST_PLACE = 64;
const UNKNOWN: Route = { kind: "unknown" };

/** @param target as it stands in the request line */
export function routeOf(target: string): Route {
  const exact = EXACT.exec(target);
  if (exact !== null) {
    return { kind: exact[1] === "r" ? "click" : "open", token: exact[2] as string, link: exact[3] as string };
  }
  // Absolute form (RFC 9112 §3.2.2): whose name stands in it does not matter here.
  const from = target.startsWith("/") ? 0 : Math.max(0, /^https?:\/\/[^/?#]*/i.exec(target)?.[0].length ?? 0);
  const end = from + indexOr(target.slice(from), /[?#]/);
  const written = target.slice(from, Math.min(end, from + MOST_PATH));
  const path = unfolded(written);
  const place = PRIVATE.get(written) ?? (path.length > MOST_PLACE ? undefined : PLACES.get(path.replace(TAIL, "")));
  if (place === "web" || place === "log") {
    const query = target[end] === "?" ? target.slice(end + 1) : "";
    return { kind: place, query: query.slice(0, indexOr(query, /#/)) };
  }
  if (place !== undefined) return { kind: place };
  const [, letter, token = "", link = ""] = TOLERANT.exec(path) ?? [];
  if (letter === "u" || letter === "m") return { kind: letter === "u" ? "unsubscribe" : "mirror", token };
  if (letter === undefined || link === "") return UNKNOWN;
  return { kind: letter === "r" ? "click" : "open", token, link };
}

function indexOr(text: string, pattern: RegExp): number {
  const at = text.search(pattern);
  return at < 0 ? text.length : at;
}

/** Lower case, printable ASCII decoded (what was encoded twice, twice), single slashes. What is encoded and not printable ends the path. */
function unfolded(path: string): string {
  let text = path;
  for (let i = 0; i < 3 && text.includes("%"); i++) {
    text = text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => {
      const code = Number.parseInt(hex, 16);
      return code > 0x20 && code < 0x7f ? String.fromCharCode(code) : "?";
    });
  }
  const cut = text.slice(0, indexOr(text, /[?#]/));
  return cut
    .replaceAll("\\", "/")
    .replaceAll(/\/{2,}/g, "/")
    .toLowerCase();
}
