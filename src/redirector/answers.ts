/** Answers, written in one piece each: status, headers as a flat list (no map to fill and to check), body. HEAD gets the same without the body. */
import type { IncomingMessage, ServerResponse } from "node:http";

type Headers = readonly string[];

/** `url` is what `targetOf` gave: printable ASCII. */
export function redirect(response: ServerResponse, status: number, url: string, cookies: readonly string[]): void {
  const headers = ["location", url, "cache-control", "no-store", "content-length", "0"];
  for (const cookie of cookies) headers.push("set-cookie", cookie);
  response.writeHead(status, headers);
  response.end();
}

/** The smallest GIF there is: one transparent pixel. */
const GIF = Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64");
const GIF_HEADERS = [
  ["content-type", "image/gif"],
  ["content-length", String(GIF.length)],
  // Seen anew each time it is looked at.
  ["cache-control", "no-store"],
  ["x-content-type-options", "nosniff"],
  // Pages that isolate themselves show it too.
  ["cross-origin-resource-policy", "cross-origin"],
].flat();

export function sendPixel(response: ServerResponse): void {
  response.writeHead(200, GIF_HEADERS);
  response.end(GIF);
}

export function sendNothing(response: ServerResponse, status: number, headers: Headers = []): void {
  // RFC 9110 §8.6: with 204 there is no length to say.
  const length = status === 204 ? [] : ["content-length", "0"];
  response.writeHead(status, ["cache-control", "no-store", ...length, ...headers]);
  response.end();
}

export function sendText(
  response: ServerResponse,
  status: number,
  type: string,
  text: string,
  headers: Headers = [],
): void {
  const body = Buffer.from(text, "utf8");
  response.writeHead(status, [
    "content-type",
    type,
    "content-length",
    String(body.length),
    "cache-control",
    "no-store",
    "x-content-type-options",
    "nosniff",
    ...headers,
  ]);
  response.end(body);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendText(response, status, "application/json", `${JSON.stringify(value)}\n`);
}

/** The method is none of these; says which are. */
export function isNot(request: IncomingMessage, response: ServerResponse, ...methods: readonly string[]): boolean {
  if (methods.includes(request.method ?? "")) return false;
  sendNothing(response, request.method === "OPTIONS" ? 204 : 405, ["allow", [...methods, "OPTIONS"].join(", ")]);
  return true;
}
