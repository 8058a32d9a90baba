/** A redirection server as the tracking workflow sees it: a log in memory that answers GET /log as the real one does, and can be away, wiped or damaged. */
import type { HttpAnswer, HttpAsk } from "../../src/http/client.ts";
import type { TrackingRecord } from "../../src/model/tracking.ts";
import { linesOf } from "./tracking.ts";

export interface FakeLog {
  ask(request: HttpAsk): Promise<HttpAnswer>;
  append(hits: readonly TrackingRecord[] | Buffer): void;
  /** Everything before is not there any more. */
  drop(before: number): void;
  /** Another log, empty. */
  wipe(id: string): void;
  readonly end: number;
  /** Positions that were asked for, and up to which it may forget. */
  readonly asked: readonly {
    readonly after: number;
    readonly pulled: number;
    readonly log: string;
    readonly limit: number;
  }[];
  /** Answers instead, while it is set. */
  instead: ((request: HttpAsk) => Promise<HttpAnswer>) | null;
  lost: number;
  /** What it says besides to who asks beyond its end. */
  resume: number | null;
}

export function openFakeLog(id: string, secret = "s"): FakeLog {
  let octets = Buffer.alloc(0);
  let base = 0;
  let name = id;
  const asked: { after: number; pulled: number; log: string; limit: number }[] = [];
  const waiting = new Set<() => void>();

  function grown(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        waiting.delete(done);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      waiting.add(done);
      signal?.addEventListener("abort", done, { once: true });
    });
  }

  const answer = (status: number, next: number, body: Buffer): HttpAnswer => ({
    kind: "answer",
    status,
    headers: { "x-log": name, "x-host": "fake", "x-next": String(next), "x-lost": String(log.lost) },
    body,
  });

  const log: FakeLog = {
    asked,
    instead: null,
    lost: 0,
    resume: null,
    get end() {
      return base + octets.length;
    },
    append(hits) {
      octets = Buffer.concat([octets, Buffer.isBuffer(hits) ? hits : linesOf(hits)]);
      for (const done of waiting) done();
    },
    drop(before) {
      octets = octets.subarray(before - base);
      base = before;
    },
    wipe(other) {
      octets = Buffer.alloc(0);
      base = 0;
      name = other;
      for (const done of waiting) done();
    },
    async ask(request) {
      if (log.instead !== null) return log.instead(request);
      const query = new URL(request.url).searchParams;
      const [after, limit, wait] = ["after", "limit", "wait"].map((key) => Number(query.get(key)));
      asked.push({ after: after!, limit: limit!, pulled: Number(query.get("pulled")), log: query.get("log") ?? "" });
      if (request.headers?.["authorization"] !== `Bearer ${secret}`)
        return { ...answer(401, 0, Buffer.alloc(0)), headers: {} };
      const other = (): boolean => (query.get("log") ?? name) !== name || after! > log.end;
      if (!other() && after === log.end) await grown(wait!, request.signal);
      if (request.signal?.aborted === true) return { kind: "stopped", text: "" };
      if (other()) {
        const refused = answer(409, 0, Buffer.alloc(0)) as Extract<HttpAnswer, { kind: "answer" }>;
        const resume = log.resume === null ? {} : { "x-resume": String(log.resume) };
        return { ...refused, headers: { ...refused.headers, ...resume } };
      }
      if (after! < base) return answer(200, base, Buffer.alloc(0));
      let end = after! - base;
      for (let n = 0; n < limit! && end < octets.length; n++) end = octets.indexOf(10, end) + 1 || octets.length;
      const body = octets.subarray(after! - base, end);
      return answer(200, after! + body.length, Buffer.from(body));
    },
  };
  return log;
}
