/**
 * `/t?tag=…`: what a web page says of itself, by an image (GET) or a beacon (POST, parameters in the query or the body):
 *
 *     tag       name of the page or of the kind of transaction; must be there
 *     type      page (default) or transaction
 *     token     of the message, or `-` of an anonymous one; else that of the session's cookie; else nobody knows whose visit it was
 *     amount    of a transaction: a decimal number
 *     articles  how many: a whole number
 *
 * and up to 20 parameters of the shop's own. Anybody can say anything here, so everything has a bound and nothing is taken for more than it is. A visit of
 * nobody is written down only where the operator wants it (redirector.strayVisits): anybody could fill the log with them.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { ANONYMOUS, verifyToken } from "../../model/token.ts";
import type { WebHit } from "../../model/tracking.ts";
import { isNot, sendNothing, sendPixel, sendText } from "../answers.ts";
import { readBody } from "./body.ts";
import type { HitContext } from "./context.ts";

const MOST_TAG = 100;
const MOST_MORE = 20;
const MOST_NAME = 64;
const MOST_VALUE = 256;
const KNOWN = new Set(["tag", "type", "token", "amount", "articles"]);

export async function webHit(
  context: HitContext,
  request: IncomingMessage,
  response: ServerResponse,
  query: string,
): Promise<void> {
  if (isNot(request, response, "GET", "HEAD", "POST")) return;
  const posted = request.method === "POST";
  const body = posted ? await readBody(request, context.clock) : { text: "", whole: true };
  if (body === null) return;
  const last = body.whole ? [] : ["connection", "close"];
  const refuse = (status: number, text: string): void =>
    sendText(response, status, "text/plain; charset=utf-8", `${text}\n`, last);
  if (!body.whole) return refuse(413, "too much");
  // What a browser posts is UTF-8, percent-encoded; what is not reads as U+FFFD.
  const parameters = new URLSearchParams(`${query}&${body.text}`);
  const type = parameters.get("type") ?? "page";
  if (type !== "page" && type !== "transaction") return refuse(400, "type is page or transaction");
  const web = webOf(parameters);
  if (typeof web === "string") return refuse(400, web);
  const token = parameters.get("token") ?? "";
  const message = whose(context, request, token);
  if (message === null) return refuse(404, "no such token");
  const visitor = context.cookies.visitor(request, token);
  const visit = { kind: type, message, delivery: 0, link: 0, hint: "", visitor, web } as const;
  const answer = (): void => (posted ? sendNothing(response, 204) : sendPixel(response));
  if (message === 0 && !context.strayVisits) return answer();
  context.record(request, visit, answer);
}

/** 0: nobody knows, or is to know. null: a token was given, and is none. */
function whose(context: HitContext, request: IncomingMessage, token: string): number | null {
  if (token === ANONYMOUS) return 0;
  if (token !== "") return verifyToken(context.keys(), token);
  const session = context.cookies.token(request);
  // A cookie outlives the key that signed it.
  return session === "" ? 0 : (verifyToken(context.keys(), session) ?? 0);
}

/** What is wrong is a sentence for who built the page. */
export function webOf(parameters: URLSearchParams): WebHit | string {
  const tag = parameters.get("tag") ?? "";
  if (tag === "") return "tag is missing";
  if (tag.length > MOST_TAG) return `tag is longer than ${MOST_TAG} characters`;
  const amount = (parameters.get("amount") ?? "0").replace(",", ".");
  // Twelve digits before the point and two behind it are exact in a double.
  if (!/^-?\d{1,12}(?:\.\d{1,10})?$/.test(amount)) return "amount is a decimal number: 1234.50";
  const articles = parameters.get("articles") ?? "0";
  if (!/^\d{1,6}$/.test(articles)) return "articles is a whole number";
  const more: [string, string][] = [];
  for (const [name, value] of parameters) {
    if (more.length >= MOST_MORE) break;
    if (name !== "" && !KNOWN.has(name)) more.push([name.slice(0, MOST_NAME), value.slice(0, MOST_VALUE)]);
  }
  // -0 is written as 0, and read as such again.
  return { tag, amount: Math.round(Number(amount) * 100) / 100 || 0, articles: Number(articles), more };
}
