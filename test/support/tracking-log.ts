/** A tracking log on a folder of the disk: opened, killed and opened again, filled with records that are all of one length, and pulled as a workflow does. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { decodeRecord, encodeRecord, type TrackingRecord } from "../../src/model/tracking.ts";
import { openTrackingLog, type TrackingLog, type TrackingLogOptions } from "../../src/redirector/log.ts";

/** Every record is as long as any other. */
const FIRST = 1_000_000;

/** The line of hit number `n`. */
export function lineOf(n: number): string {
  const record: TrackingRecord = {
    at: 1_790_000_000_000,
    kind: "click",
    message: FIRST + n,
    delivery: 7,
    link: 1,
    method: "GET",
    hint: "",
    ip: "192.0.2.0",
    userAgent: "Mozilla/5.0",
    visitor: "",
    web: null,
  };
  return encodeRecord(record);
}

/** Octets of each record. */
export const LINE = lineOf(1).length;

export interface LogFolder {
  readonly path: string;
  /** What was shouted. */
  readonly shouts: readonly string[];
  /** Closes the one that is open, if any, and opens it (again). */
  open(more?: Partial<TrackingLogOptions>): Promise<TrackingLog>;
  readonly log: TrackingLog;
  shut(): Promise<void>;
  /** What a process that was killed leaves: nothing is closed, nothing noted, the lock stays. */
  kill(): void;
  hit(n: number): Promise<boolean>;
  /** All of them, one after the other, and all durable. */
  hits(from: number, to: number): Promise<void>;
  /** Reads to the end: hits, damaged lines, gaps, and where the end is. */
  pull(after?: number, most?: number): Promise<Pulled>;
  files(): string[];
  file(i: number): string;
  close(): Promise<void>;
}

export interface Pulled {
  readonly hits: number[];
  readonly damaged: string[];
  readonly gaps: number;
  readonly at: number;
}

export function makeLogFolder(): LogFolder {
  const path = mkdtempSync(join(tmpdir(), "postilion-tracking-log-"));
  const shouts: string[] = [];
  const loud: Log = { ...silentLog, error: (_fields, text) => void shouts.push(text) };
  let log: TrackingLog | null = null;

  async function shut(): Promise<void> {
    const open = log;
    log = null;
    await open?.close();
  }
  const hit = (n: number): Promise<boolean> => new Promise((resolve) => current().append(lineOf(n), resolve));
  const current = (): TrackingLog => {
    if (log === null) throw new Error("the log is not open");
    return log;
  };
  const files = (): string[] => readdirSync(join(path, "segments")).sort();

  return {
    path,
    shouts,
    async open(more = {}) {
      await shut();
      log = await openTrackingLog({
        folder: path,
        segmentBytes: 1_000_000,
        segmentMs: 3_600_000,
        logBytes: 100_000_000,
        keepMs: 3_600_000,
        clock: systemClock,
        log: loud,
        wrote: () => {},
        ...more,
      });
      return log;
    },
    get log() {
      return current();
    },
    shut,
    kill() {
      log = null;
    },
    hit,
    async hits(from, to) {
      for (let n = from; n <= to; n++) if (!(await hit(n))) throw new Error(`hit ${n} is lost`);
    },
    async pull(after = 0, most = 1000) {
      const pulled = { hits: [] as number[], damaged: [] as string[], gaps: 0, at: after };
      for (let rounds = 0; rounds < 1000; rounds++) {
        const piece = await current().read(pulled.at, most);
        if (piece === null) throw new Error(`there is no position ${pulled.at}`);
        for (const line of piece.bytes.toString().split("\n").filter(Boolean)) {
          const read = decodeRecord(line);
          if (typeof read === "string") pulled.damaged.push(read);
          else pulled.hits.push(read.message - FIRST);
        }
        pulled.gaps += piece.gap;
        if (piece.next === pulled.at) return pulled;
        pulled.at = piece.next;
      }
      throw new Error("the log has no end");
    },
    files,
    file: (i) => join(path, "segments", files()[i]!),
    async close() {
      await shut();
      rmSync(path, { recursive: true, force: true });
    },
  };
}
