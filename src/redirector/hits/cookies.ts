/**
 * Two cookies, when `redirector.visitorCookie` is set: one that tells visitors apart and is kept, and one of the session with the token of the last click,
 * by which web tracking knows the message. Neither says anything of a person to who reads it: the first is random, the second the token
 * that stands in the link too.
 */
import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { ANONYMOUS } from "../../model/token.ts";

export interface Cookies {
  /** The visitor's own mark, '' for none. An anonymous hit has none: it could be laid beside another one of the same visitor. */
  visitor(request: IncomingMessage, token: string): string;
  /** Token of the last click of this session, as the browser says; '' for none. */
  token(request: IncomingMessage): string;
  /** At a click: the visitor, a new one if need be, and what is to be set. Nothing at all when the setting is off, or the click anonymous. */
  click(request: IncomingMessage, token: string): { readonly visitor: string; readonly set: readonly string[] };
}

const VISITOR = "postilion-visitor";
const SESSION = "postilion-session";
const YEAR_S = 365 * 86_400;
const NOTHING = { visitor: "", set: [] } as const;

/** @param secure whether readers come over HTTPS: then the cookies also go with requests that other sites make */
export function openCookies(enabled: boolean, secure: boolean): Cookies {
  // A shop's page asks for /t from another site: only SameSite=None is sent then, and browsers take that over HTTPS only.
  const attributes = `Path=/; HttpOnly; ${secure ? "Secure; SameSite=None" : "SameSite=Lax"}`;
  const read = (request: IncomingMessage, name: string, pattern: RegExp): string => {
    const header = enabled ? request.headers.cookie : undefined;
    if (header === undefined) return "";
    for (const pair of header.split(";")) {
      const at = pair.indexOf("=");
      if (pair.slice(0, at).trim() !== name) continue;
      const value = pair.slice(at + 1).trim();
      if (pattern.test(value)) return value;
    }
    return "";
  };
  const visitor = (request: IncomingMessage, token: string): string =>
    token === ANONYMOUS ? "" : read(request, VISITOR, /^[A-Za-z0-9_-]{22}$/);
  return {
    visitor,
    token: (request) => read(request, SESSION, /^[a-z2-7]{31}$/),
    click(request, token) {
      if (!enabled || token === ANONYMOUS) return NOTHING;
      const known = visitor(request, token) || randomBytes(16).toString("base64url");
      const set = [
        `${VISITOR}=${known}; Max-Age=${YEAR_S}; ${attributes}`,
        `${SESSION}=${token.toLowerCase()}; ${attributes}`,
      ];
      return { visitor: known, set };
    },
  };
}
