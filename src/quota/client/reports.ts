/**
 * What attempts came to, added up by path until it is told: every second, and within a tenth of one when a reply may matter to back-off
 * rules. Bounded: what does not fit into a report of paths waits no longer than for the next one; samples of replies are cut.
 */
import { pieces } from "../fit.ts";
import type { Outcome } from "../../model/outcome.ts";
import type { Path } from "../../model/traffic.ts";
import type { ClientMessage, PathReport, ReplySample } from "../messages.ts";

export interface Reports {
  /** An attempt, or an attempt at a connection, had this outcome. */
  add(site: string, path: Path, outcome: Outcome, bytes: number): void;
  /** A connection was opened and carried something. */
  connected(site: string, path: Path): void;
  /** Ms within which what is here should be told; Infinity: nothing is. */
  readonly withinMs: number;
  /** What is to be told, in lines that fit; nothing is left. */
  take(): ClientMessage[];
}

const REPORT_MS = 1000;
const REPLIES_MS = 100;
/** Different samples between two reports; more of them say nothing new. */
const MOST_SAMPLES = 200;
const MOST_PATHS = 20_000;
const TEXT = 300;

type Sums = { -readonly [K in keyof PathReport]: PathReport[K] };
type Sample = { -readonly [K in keyof ReplySample]: ReplySample[K] };

export function openReports(): Reports {
  let paths = new Map<string, Sums>();
  let samples = new Map<string, Sample>();

  function sumsOf(site: string, path: Path): Sums {
    const key = `${path.publicId}|${path.ip}|${site}`;
    let sums = paths.get(key);
    if (sums !== undefined) return sums;
    sums = {
      site,
      publicId: path.publicId,
      mx: path.mx,
      ip: path.ip,
      connects: 0,
      refused: 0,
      timedOut: 0,
      aborted: 0,
      attempts: 0,
      accepted: 0,
      deferred: 0,
      rejected: 0,
      bytes: 0,
      latencyMs: 0,
    };
    if (paths.size < MOST_PATHS) paths.set(key, sums);
    return sums;
  }

  function sample(site: string, path: Path, { stage, code, enhanced, text }: Outcome): void {
    const key = `${path.publicId}|${path.ip}|${site}|${stage}|${code}|${enhanced}|${text}`;
    const known = samples.get(key);
    if (known !== undefined) known.count++;
    else if (samples.size < MOST_SAMPLES)
      samples.set(key, {
        site,
        publicId: path.publicId,
        mx: path.mx,
        ip: path.ip,
        stage,
        code,
        enhanced,
        text: text.slice(0, TEXT),
        count: 1,
      });
  }

  return {
    add(site, path, outcome, bytes) {
      const { kind, stage } = outcome;
      if (stage === "local" || stage === "resolve") return;
      const sums = sumsOf(site, path);
      if (kind === "unreachable" && CONNECTING.has(stage)) {
        sums.connects++;
        if (LATE.test(outcome.text)) sums.timedOut++;
        else sums.refused++;
      } else {
        sums.attempts++;
        sums.bytes += Math.round(bytes);
        sums.latencyMs += Math.max(0, Math.round(outcome.latencyMs));
        if (kind === "accepted") sums.accepted++;
        else if (kind === "deferred") sums.deferred++;
        else if (kind === "rejected") sums.rejected++;
        else if (LATE.test(outcome.text)) sums.timedOut++;
        else sums.aborted++;
      }
      if (kind !== "accepted") sample(site, path, outcome);
    },
    connected(site, path) {
      sumsOf(site, path).connects++;
    },
    get withinMs() {
      return samples.size > 0 ? REPLIES_MS : paths.size > 0 ? REPORT_MS : Number.POSITIVE_INFINITY;
    },
    take() {
      const told: ClientMessage[] = [];
      const sums = [...paths.values()];
      const replies = [...samples.values()];
      paths = new Map();
      samples = new Map();
      const [some, said] = [pieces(sums), pieces(replies)];
      // Replies go with the counts they explain: without them greylisting looks like a site in trouble.
      for (let i = 0; i < Math.max(some.length, said.length); i++)
        told.push({ t: "report", paths: some[i] ?? [], replies: said[i] ?? [] });
      return told;
    },
  };
}

const CONNECTING: ReadonlySet<string> = new Set(["connect", "banner", "ehlo", "starttls", "auth"]);
/** The sentences of the mta's sessions for a time that has passed. */
const LATE = /timed out|within [\d.]+ s/;
