/**
 * One question to a redirection server: what is in your log behind this position? It waits with its answer until there is something. What it says
 * is checked before it is used: a server of another version, or something else that listens there, must not move a cursor.
 */
import type { HttpAnswer, HttpAsk } from "../http/client.ts";
import { harmless } from "../model/harmless.ts";
import { MOST_RECORD } from "../model/tracking.ts";

export interface Cursor {
  /** Id of the log, '' when it is not known yet which one is there. */
  readonly log: string;
  readonly position: number;
}

export type Pulled =
  | {
      readonly kind: "octets";
      readonly log: string;
      readonly host: string;
      readonly from: number;
      readonly body: Buffer;
      /** Where to go on; behind the end of `body` when octets are missing there. */
      readonly next: number;
      readonly lost: number;
    }
  /** Another log than the one that was asked for. */
  | { readonly kind: "other"; readonly log: string; readonly host: string }
  /** The log that was asked for has no such position (any more): it goes on at this one. */
  | { readonly kind: "resume"; readonly position: number }
  /** `large`: fewer records have to be asked for. */
  | { readonly kind: "trouble"; readonly text: string; readonly large: boolean }
  | { readonly kind: "stopped" };

export interface PullOptions {
  readonly ask: (request: HttpAsk) => Promise<HttpAnswer>;
  /** Base address of the redirection server. */
  readonly address: string;
  readonly secret: string;
  readonly records: number;
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

/** A segment's worth of headers, and what is in flight. */
const ANSWER_MS = 15_000;

/** @param pulled everything before this position is in the database: the server may remove it. */
export async function pull(options: PullOptions, { log, position }: Cursor, pulled: number): Promise<Pulled> {
  const { ask, address, secret, records, waitMs, signal } = options;
  const query = new URLSearchParams({
    after: String(position),
    limit: String(records),
    wait: String(waitMs),
    pulled: String(pulled),
    ...(log === "" ? {} : { log }),
  });
  const answer = await ask({
    url: `${address}/log?${query}`,
    headers: { authorization: `Bearer ${secret}` },
    mostBytes: (records + 1) * MOST_RECORD,
    timeoutMs: waitMs + ANSWER_MS,
    signal,
  });
  if (answer.kind === "stopped") return { kind: "stopped" };
  if (answer.kind !== "answer") return { kind: "trouble", text: harmless(answer.text), large: answer.kind === "large" };
  return read(answer, { log, position });
}

type Answer = Extract<HttpAnswer, { kind: "answer" }>;

function read({ status, headers, body }: Answer, { log, position }: Cursor): Pulled {
  const trouble = (text: string): Pulled => ({ kind: "trouble", text, large: false });
  if (status === 401 || status === 403) return trouble(`it refuses the secret (tracking.secretFile): status ${status}`);
  const name = headers["x-log"] ?? "";
  const host = harmless(headers["x-host"] ?? "", 100);
  if (status !== 200 && status !== 409) return trouble(`it answers with status ${status}`);
  if (!/^[\w-]{1,64}$/.test(name)) return trouble("what answers there is no redirection server: no x-log");
  if (status === 409 || (log !== "" && name !== log)) {
    const resume = whole(headers["x-resume"]) ?? position;
    // Our own log, and yet it never gave out this position: a folder that was put back from a copy.
    if (name === log && resume < position) return { kind: "resume", position: resume };
    if (name === log) return trouble("its log ends before what was pulled from it: was an old copy put back?");
    return { kind: "other", log: name, host };
  }
  const next = whole(headers["x-next"]);
  const lost = whole(headers["x-lost"]) ?? 0;
  if (next === null || next < position + body.length) return trouble("its answer does not say where to go on (x-next)");
  return { kind: "octets", log: name, host, from: position, body, next, lost };
}

function whole(text: string | undefined): number | null {
  const number = /^\d{1,16}$/.test(text ?? "") ? Number(text) : -1;
  return Number.isSafeInteger(number) && number >= 0 ? number : null;
}
