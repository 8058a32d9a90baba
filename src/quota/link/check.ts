/**
 * What a server says, looked over before the client acts on it. It has proven that it knows the secret, so this is against another version
 * and against bugs, not against an enemy: the kind of each message and of each field that is reckoned with. A rule or a hold inside of it
 * is taken as it is.
 */
import type { ServerMessage } from "../messages.ts";

type Fields = Readonly<Record<string, unknown>>;
type Kind = "count" | "number" | "text" | "list" | "numbers" | "texts" | "object" | "flag" | "any" | "limits" | "index";

/** Field by field, what each message must have. */
const MESSAGES: Readonly<Record<ServerMessage["t"], Readonly<Record<string, Kind>>>> = {
  challenge: { v: "count", nonce: "text" },
  welcome: { proof: "text", now: "number", members: "count", horizonMs: "number", silenceMs: "number" },
  grant: {
    id: "count",
    conn: "count",
    chosen: "index",
    limits: "limits",
    messages: "count",
    at: "number",
    until: "number",
  },
  wait: { id: "count", hold: "object" },
  revoke: { conns: "numbers", hold: "object" },
  limits: { conns: "numbers", limits: "object" },
  void: { conns: "numbers" },
  rules: { first: "flag", last: "flag", rules: "list" },
  curbs: { all: "flag", curbs: "list", over: "texts" },
  shares: { seq: "count", members: "count", all: "flag", shares: "list" },
  pong: { id: "count", now: "number" },
  answer: { id: "count", data: "any" },
  leave: { text: "text" },
  error: { text: "text" },
};

/** The message in `value`, or null when it is none. */
export function checkServerMessage(value: unknown): ServerMessage | null {
  if (!isObject(value) || typeof value["t"] !== "string" || !Object.hasOwn(MESSAGES, value["t"])) return null;
  const wanted = MESSAGES[value["t"] as ServerMessage["t"]];
  for (const field in wanted) if (!is(value[field], wanted[field]!)) return null;
  return value as unknown as ServerMessage;
}

function is(value: unknown, kind: Kind): boolean {
  switch (kind) {
    case "count":
      return Number.isSafeInteger(value) && (value as number) >= 0;
    case "index":
      return Number.isSafeInteger(value) && (value as number) >= -1;
    case "number":
      return Number.isFinite(value);
    case "text":
      return typeof value === "string";
    case "flag":
      return typeof value === "boolean";
    case "object":
      return isObject(value);
    case "limits":
      return value === null || isObject(value);
    case "list":
      return Array.isArray(value) && value.every(isObject);
    case "numbers":
      return Array.isArray(value) && value.every(Number.isSafeInteger);
    case "texts":
      return Array.isArray(value) && value.every((each) => typeof each === "string");
    case "any":
      return value !== undefined;
  }
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
