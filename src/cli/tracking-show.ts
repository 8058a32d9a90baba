/**
 * `postilion tracking show`: how far the log of each redirection server has been read, and what is wrong with it. From the database alone, so it says
 * something when every server is away. Exit code 1 when one of the settings does not answer, or nobody reads: a monitor may ask.
 */
import { EXIT } from "../base/exit.ts";
import { redirectorsOf } from "../config/tracking-place.ts";
import { type LeaderState, readLead } from "../db/leader.ts";
import { requireSchema } from "../db/migrate.ts";
import type { Sql } from "../db/sql.ts";
import { trackingSources, type TrackingSource } from "../db/tracking-reports.ts";
import { harmless } from "../model/harmless.ts";
import { stamp } from "../model/why-text.ts";
import { withDatabase } from "./database.ts";
import { table } from "./table.ts";

export interface TrackingState {
  /** The database's clock, epoch ms. */
  readonly now: number;
  readonly leader: LeaderState | null;
  /** Addresses in the settings of this machine. */
  readonly wanted: readonly string[];
  readonly sources: readonly TrackingSource[];
}

/** Prints it; the exit code. Faults: SETTINGS_*, DATABASE_*. */
export async function trackingShow(config: string | undefined, json: boolean): Promise<number> {
  let code: number = EXIT.ok;
  await withDatabase(config, async (sql, settings) => {
    await requireSchema(sql);
    const state = await trackingState(sql, redirectorsOf(settings));
    console.log(json ? JSON.stringify(jsonOf(state)) : trackingText(state));
    code = isWell(state) ? EXIT.ok : EXIT.fault;
  });
  return code;
}

export async function trackingState(sql: Sql, wanted: readonly string[]): Promise<TrackingState> {
  const [sources, leader] = await Promise.all([trackingSources(sql), readLead(sql, "tracking_leader")]);
  return { now: leader?.now ?? Date.now(), leader, wanted, sources };
}

/** Somebody reads, and every server that is wanted answers. */
export function isWell({ leader, wanted, sources }: TrackingState): boolean {
  if (wanted.length === 0) return true;
  if (leader === null || leader.leftMs <= 0) return false;
  const of = new Map(sources.map((source) => [source.address, source]));
  return wanted.every((address) => {
    const source = of.get(address);
    return source?.answeredAt != null && source.trouble === "";
  });
}

export function trackingText(state: TrackingState): string {
  const { now, leader, wanted, sources } = state;
  const lines = [`${stamp(now)}   ${leadText(leader)}`, ""];
  const missing = wanted.filter((address) => !sources.some((source) => source.address === address));
  if (sources.length === 0 && missing.length === 0)
    return [...lines, "No redirection server: tracking.url or workflow.redirectors name none."].join("\n");
  lines.push(
    ...table(
      [
        [
          "redirection server",
          "host",
          "answered",
          "newest hit",
          "records",
          "damaged",
          "missing",
          "lost",
          "position",
          "state",
        ],
        ...sources.map((source) => rowOf(source, wanted, now)),
        ...missing.map((address) => [harmless(address, 100), "-", "never", "-", 0, 0, 0, 0, 0, "never asked yet"]),
      ],
      60,
    ),
  );
  const odd = sources.filter(({ damaged, missing, lost }) => damaged + missing + lost > 0);
  if (odd.length > 0)
    lines.push(
      "",
      "damaged: records set aside, in table tracking_damaged; missing: octets of the log that were not there; lost: hits the server answered and could not write down.",
    );
  return lines.join("\n");
}

function leadText(leader: LeaderState | null): string {
  if (leader === null) return "no machine has ever run the workflow (workflow.run)";
  const name = harmless(leader.server, 100);
  return leader.leftMs > 0
    ? `read by ${name}`
    : `read by nobody: the lease of ${name} ended ${length(-leader.leftMs)} ago`;
}

function rowOf(source: TrackingSource, wanted: readonly string[], now: number): readonly (string | number)[] {
  const ago = (at: Date | null): string => (at === null ? "never" : `${length(now - at.getTime())} ago`);
  const gone = wanted.includes(source.address) ? "" : " (not in the settings of this machine)";
  const state =
    source.trouble === "" ? "answers" : `away since ${stamp(source.since.getTime())}: ${harmless(source.trouble, 200)}`;
  return [
    harmless(source.address, 100),
    harmless(source.host, 60) || "-",
    ago(source.answeredAt),
    ago(source.newestAt),
    source.records,
    source.damaged,
    source.missing,
    source.lost,
    source.position,
    state + gone,
  ];
}

function jsonOf(state: TrackingState): object {
  const { now, leader, wanted, sources } = state;
  return {
    now: new Date(now).toISOString(),
    leader: leader === null || leader.leftMs <= 0 ? null : leader.server,
    well: isWell(state),
    wanted,
    redirectors: sources,
  };
}

/** Rounded down, in its largest unit. */
function length(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}
