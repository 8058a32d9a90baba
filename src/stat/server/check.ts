/**
 * What a client may say, checked octet by octet before anything of it is believed: kinds, ranges, lengths. What passes is a new object with
 * the known fields in a fixed order: no name a client made up goes any further, and the engine sees one shape a message.
 *
 * By hand, not by schema: an acquire is checked in about a microsecond, and twenty thousand of them come in a second.
 */
import { HOLD_KINDS, type Exchanger, type Hold, type HoldKind, type LaneReport } from "../../model/traffic.ts";
import {
  QUERIES,
  type ClientMessage,
  type GivenBack,
  type HeldConnection,
  type PathReport,
  type QueryName,
  type ReplySample,
  type Used,
  type UsedCounter,
} from "../../quota/messages.ts";

/** What a client said wrong, in words that may be sent back to it: they name a field and quote nothing. */
export class BadMessage extends Error {}

type Fields = Readonly<Record<string, unknown>>;
export type Hello = Extract<ClientMessage, { t: "hello" }>;

const MOST_MESSAGES = 1_000_000;
/** Exchangers × addresses of one site: what the mta's resolver keeps of a domain at most. */
const MOST_EXCHANGERS = 1280;
const MOST_LIST = 10_000;
/** Grants of one connection of which something is given back. */
const MOST_GRANTS = 1000;
const MOST_NAME = 255;
/** The names of all exchangers of a site, joined. */
const MOST_SITE = 8192;
const MOST_TEXT = 1000;
const MOST_DEPTH = 6;

/** The message in `value`. Throws BadMessage. */
export function checkClientMessage(value: unknown): ClientMessage {
  const m = fields(value, "a message");
  switch (m["t"]) {
    case "acquire":
      return {
        t: "acquire",
        id: count(m["id"], "id"),
        site: name(m["site"], "site", MOST_SITE),
        publicId: count(m["publicId"], "publicId"),
        exchangers: list(m["exchangers"], "exchangers", MOST_EXCHANGERS, exchanger, 1),
        messages: count(m["messages"], "messages", MOST_MESSAGES),
        urgent: flag(m["urgent"], "urgent"),
      };
    case "more":
      return {
        t: "more",
        id: count(m["id"], "id"),
        conn: count(m["conn"], "conn"),
        messages: count(m["messages"], "messages", MOST_MESSAGES),
        urgent: flag(m["urgent"], "urgent"),
      };
    case "release":
    case "return":
      return { t: m["t"], conn: count(m["conn"], "conn"), back: list(m["back"], "back", MOST_GRANTS, givenBack) };
    case "used":
      return {
        t: "used",
        counters: list(m["counters"], "counters", MOST_LIST, usedCounter),
        last: flag(m["last"], "last"),
      };
    case "told":
      return { t: "told", seq: count(m["seq"], "seq") };
    case "cancel":
    case "ping":
      return { t: m["t"], id: count(m["id"], "id") };
    case "report":
      return {
        t: "report",
        paths: list(m["paths"], "paths", MOST_LIST, pathReport),
        replies: list(m["replies"], "replies", MOST_LIST, replySample),
      };
    case "lanes":
      return { t: "lanes", lanes: list(m["lanes"], "lanes", MOST_LIST, laneReport) };
    case "query":
      return { t: "query", id: count(m["id"], "id"), what: queryName(m["what"]), args: queryArgs(m["args"]) };
    case "hello":
      return hello(m);
    default:
      throw new BadMessage("there is no such message");
  }
}

function hello(m: Fields): Hello {
  const { role } = m;
  if (role !== "member" && role !== "observer") throw new BadMessage("role is neither member nor observer");
  return {
    t: "hello",
    v: count(m["v"], "v"),
    member: name(m["member"], "member", MOST_NAME),
    role,
    nonce: name(m["nonce"], "nonce", MOST_NAME),
    proof: name(m["proof"], "proof", MOST_NAME),
    process: processName(m["process"]),
    unsure: flag(m["unsure"] ?? true, "unsure"),
    held: list(m["held"], "held", MOST_LIST, heldConnection),
  };
}

function heldConnection(value: unknown): HeldConnection {
  const m = fields(value, "held");
  return {
    conn: count(m["conn"], "conn"),
    site: name(m["site"], "site", MOST_SITE),
    publicId: count(m["publicId"], "publicId"),
    exchanger: exchanger(m["exchanger"]),
    granted: count(m["granted"], "granted"),
  };
}

function processName(value: unknown): string {
  if (typeof value !== "string" || !/^[0-9a-f]{8,64}$/.test(value))
    throw new BadMessage("process is not 8 to 64 letters of hex");
  return value;
}

function givenBack(value: unknown): GivenBack {
  if (!Array.isArray(value) || value.length !== 2) throw new BadMessage("back is not a list of pairs");
  return [count(value[0], "back"), count(value[1], "back", MOST_MESSAGES)];
}

function usedCounter(value: unknown): UsedCounter {
  const m = fields(value, "a counter");
  const used = m["used"];
  if (!Array.isArray(used) || used.length !== 3) throw new BadMessage("used is not a list of three");
  return { counter: label(m["counter"], "counter"), used: [window(used[0]), window(used[1]), window(used[2])] };
}

function window(value: unknown): Used {
  if (!Array.isArray(value) || value.length !== 2) throw new BadMessage("used is not a list of pairs");
  return [count(value[0], "used"), count(value[1], "used")];
}

function exchanger(value: unknown): Exchanger {
  const m = fields(value, "an exchanger");
  return { mx: name(m["mx"], "mx", MOST_NAME), ip: name(m["ip"], "ip", 64) };
}

function pathReport(value: unknown): PathReport {
  const m = fields(value, "a path");
  return {
    mx: name(m["mx"], "mx", MOST_NAME),
    ip: name(m["ip"], "ip", 64),
    site: name(m["site"], "site", MOST_SITE),
    publicId: count(m["publicId"], "publicId"),
    connects: count(m["connects"], "connects"),
    refused: count(m["refused"], "refused"),
    timedOut: count(m["timedOut"], "timedOut"),
    aborted: count(m["aborted"], "aborted"),
    attempts: count(m["attempts"], "attempts"),
    accepted: count(m["accepted"], "accepted"),
    deferred: count(m["deferred"], "deferred"),
    rejected: count(m["rejected"], "rejected"),
    bytes: count(m["bytes"], "bytes"),
    latencyMs: amount(m["latencyMs"], "latencyMs"),
  };
}

function replySample(value: unknown): ReplySample {
  const m = fields(value, "a reply");
  return {
    mx: name(m["mx"], "mx", MOST_NAME),
    ip: name(m["ip"], "ip", 64),
    site: name(m["site"], "site", MOST_SITE),
    publicId: count(m["publicId"], "publicId"),
    stage: text(m["stage"], "stage"),
    code: count(m["code"], "code", 999),
    enhanced: text(m["enhanced"], "enhanced"),
    text: text(m["text"], "text"),
    count: count(m["count"], "count"),
  };
}

function laneReport(value: unknown): LaneReport {
  const m = fields(value, "a lane");
  return {
    site: name(m["site"], "site", MOST_SITE),
    // '' while its exchangers are being looked up.
    mx: m["mx"] === "" ? "" : name(m["mx"], "mx", MOST_NAME),
    publicId: count(m["publicId"], "publicId"),
    waiting: count(m["waiting"], "waiting"),
    inFlight: count(m["inFlight"], "inFlight"),
    sessions: count(m["sessions"], "sessions"),
    hold: m["hold"] === null ? null : hold(m["hold"]),
  };
}

function hold(value: unknown): Hold {
  const m = fields(value, "hold");
  if (!HOLD_KINDS.includes(m["kind"] as HoldKind)) throw new BadMessage("kind of a hold is none of those there are");
  return {
    kind: m["kind"] as HoldKind,
    by: text(m["by"], "by"),
    text: text(m["text"], "text"),
    since: amount(m["since"], "since"),
    until: amount(m["until"], "until"),
  };
}

function queryName(value: unknown): QueryName {
  if (!QUERIES.includes(value as QueryName)) throw new BadMessage("there is no such query");
  return value as QueryName;
}

function queryArgs(value: unknown): Fields {
  const args = fields(value, "args");
  shallow(args, MOST_DEPTH);
  return args;
}

/** Whoever answers a query may walk through its arguments without thinking of the stack, or of a name that is a method. */
function shallow(value: unknown, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (depth === 0) throw new BadMessage("args are nested too deeply");
  for (const key of Object.keys(value)) {
    if (key === "__proto__" || key === "constructor" || key === "prototype")
      throw new BadMessage("args have a name they may not have");
    shallow((value as Fields)[key], depth - 1);
  }
}

function fields(value: unknown, what: string): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new BadMessage(`${what} is not an object`);
  return value as Fields;
}

function count(value: unknown, what: string, most: number = Number.MAX_SAFE_INTEGER): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > most)
    throw new BadMessage(`${what} is not a whole number from 0 to ${most}`);
  return value;
}

function amount(value: unknown, what: string): number {
  if (typeof value !== "number" || !(value >= 0 && value <= Number.MAX_SAFE_INTEGER))
    throw new BadMessage(`${what} is not a number from 0 on`);
  return value;
}

function flag(value: unknown, what: string): boolean {
  if (typeof value !== "boolean") throw new BadMessage(`${what} is neither true nor false`);
  return value;
}

/** A name: printable, without spaces, so that it can stand in a log, a key and a proof. */
function name(value: unknown, what: string, most: number): string {
  if (typeof value !== "string" || value.length === 0 || value.length > most || NOT_A_NAME.test(value))
    throw new BadMessage(`${what} is not a name of 1 to ${most} printable characters`);
  return value;
}

const NOT_A_NAME = /[^\x21-\x7e]/;

/** The name of a counter: a rule's id may be any text of its operator. */
function label(value: unknown, what: string): string {
  const clean = text(value, what);
  if (clean.length === 0 || clean !== value)
    throw new BadMessage(`${what} is not a name of 1 to ${MOST_TEXT} characters`);
  return clean;
}

/** Text of others, cut and made fit for PostgreSQL, which takes neither a zero octet nor half a character. */
function text(value: unknown, what: string): string {
  if (typeof value !== "string") throw new BadMessage(`${what} is not a text`);
  const cut = value.length > MOST_TEXT ? value.slice(0, MOST_TEXT) : value;
  return cut.replaceAll(CONTROL, " ").toWellFormed();
}

// eslint-disable-next-line no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/g;

function list<T>(value: unknown, what: string, most: number, each: (value: unknown) => T, least = 0): readonly T[] {
  if (!Array.isArray(value) || value.length < least || value.length > most)
    throw new BadMessage(`${what} is not a list of ${least} to ${most}`);
  return value.map(each);
}
