/** What the API tells of sites, limits and measures: times as RFC 3339, what is not known as null, texts of strangers harmless. */
import type { PathErrors, PathNumbers } from "../db/path-statistics.ts";
import type { RecordedMeasure } from "../db/measures.ts";
import type { PastSuspension, StoredSuspension } from "../db/traffic-holds.ts";
import { harmless } from "../model/harmless.ts";
import {
  type Counts,
  COUNTS,
  errorsOf,
  type LimitAnswer,
  type MeasureAnswer,
  type PathAnswer,
  type SiteAnswer,
  type SiteSummary,
} from "../quota/answers.ts";

/** 0 is "not known". */
export function time(ms: number): string | null {
  return ms > 0 && ms < 8.64e15 ? new Date(ms).toISOString() : null;
}

interface AnyHold {
  readonly kind: string;
  readonly by: string;
  readonly text: string;
  readonly since: number;
  readonly until: number;
  readonly publicId?: number | null;
}

export function holdAnswer(hold: AnyHold): object {
  const { kind, by, text, since, until } = hold;
  return {
    kind,
    by: harmless(by, 150),
    text: harmless(text),
    since: time(since),
    until: time(until),
    ...(hold.publicId === undefined ? {} : { publicId: hold.publicId }),
  };
}

/** Sums, what failed of them, and the mean of the time an attempt took. */
function countsAnswer(counts: Counts): object {
  const { latencyMs, ...rest } = counts;
  return { ...rest, errors: errorsOf(counts), latencyMs: mean(latencyMs, counts.attempts) };
}

/** null when nothing was tried. */
const mean = (sum: number, count: number): number | null => (count > 0 ? Math.round(sum / count) : null);

export function siteSummaryAnswer(s: SiteSummary): object {
  return {
    site: harmless(s.site, 600),
    mx: harmless(s.mx, 255),
    state: s.state,
    hold: s.hold === null ? null : holdAnswer(s.hold),
    publicIds: s.publicIds,
    waiting: s.waiting,
    inFlight: s.inFlight,
    sessions: s.sessions,
    minute: countsAnswer(s.minute),
    hour: countsAnswer(s.hour),
    lastReply: harmless(s.lastReply),
    lastReplyAt: time(s.lastReplyAt),
  };
}

function pathAnswer(p: PathAnswer): object {
  return {
    publicId: p.publicId,
    mx: harmless(p.mx, 255),
    ip: harmless(p.ip, 64),
    connections: p.connections,
    minute: countsAnswer(p.minute),
    hour: countsAnswer(p.hour),
    lastReply: harmless(p.lastReply),
    lastReplyAt: time(p.lastReplyAt),
  };
}

function limitAnswer(l: LimitAnswer): object {
  const { rule: _, ...limits } = l.limits;
  const changed = Object.entries(l.ruleLimits).filter(([name, value]) => value !== l.limits[name as "connections"]);
  return {
    publicId: l.publicId,
    mx: harmless(l.mx, 255),
    ip: harmless(l.ip, 64),
    rule: l.rule,
    origin: l.origin,
    note: l.note,
    limits,
    origins: l.origins,
    /** What the rule says where something else is in force. */
    changedFrom: Object.fromEntries(changed),
    hold: l.hold === null ? null : holdAnswer(l.hold),
  };
}

export function measureAnswer(m: MeasureAnswer): object {
  return {
    kind: m.kind,
    stage: m.stage,
    site: harmless(m.site, 600),
    publicId: m.publicId,
    by: harmless(m.by, 150),
    reason: harmless(m.reason),
    since: time(m.since),
    until: time(m.until),
  };
}

export function siteAnswer(site: string, a: SiteAnswer): object {
  return {
    ...(a.summary === null ? { site: harmless(site, 600), state: "ok" } : siteSummaryAnswer(a.summary)),
    holds: a.holds.map(holdAnswer),
    measures: a.measures.map(measureAnswer),
    paths: a.paths.map(pathAnswer),
    morePaths: a.morePaths,
    limits: a.limits.map(limitAnswer),
    lanes: a.lanes.map((lane) => ({
      member: harmless(lane.member, 255),
      mx: harmless(lane.mx, 255),
      publicId: lane.publicId,
      waiting: lane.waiting,
      inFlight: lane.inFlight,
      sessions: lane.sessions,
      hold: lane.hold === null ? null : holdAnswer(lane.hold),
      toldAt: time(lane.at),
    })),
    history: a.slots.map(({ at, counts }) => ({ at: time(at), ...countsAnswer(counts) })),
  };
}

export interface SiteErrors {
  readonly site: string;
  readonly publicIds: readonly { readonly publicId: number; readonly paths: readonly PathErrors[] }[];
}

/** Columns of spec modules.md §18.3; the sums of a level are those of what is below it. */
export function errorsAnswer({ site, publicIds }: SiteErrors): object {
  const all = publicIds.flatMap((one) => one.paths);
  const newest = all.reduce((a, b) => (b.lastAt > a.lastAt || a.lastReply === "" ? b : a));
  return {
    site: harmless(site, 600),
    ...sums(all),
    lastReply: harmless(newest.lastReply),
    lastAt: time(newest.lastAt),
    publicIds: publicIds.map(({ publicId, paths }) => ({
      publicId,
      ...sums(paths),
      paths: paths.map((path) => ({
        ip: harmless(path.ip, 64),
        mx: harmless(path.mx, 255),
        ...sums([path]),
        lastReply: harmless(path.lastReply),
        lastAt: time(path.lastAt),
      })),
    })),
  };
}

function sums(paths: readonly PathNumbers[]): object {
  const all = Object.fromEntries(COUNTS.map((name) => [name, paths.reduce((n, path) => n + path[name], 0)]));
  return countsAnswer(all as Counts);
}

export function measureOfPast(m: RecordedMeasure): object {
  return {
    kind: m.kind,
    site: harmless(m.site, 600),
    publicId: m.publicId,
    by: harmless(m.by, 150),
    reason: harmless(m.reason),
    since: time(m.since),
    endedAt: time(m.endedAt),
  };
}

export function suspensionAnswer(s: StoredSuspension & Partial<PastSuspension>): object {
  return {
    id: s.id,
    site: s.site,
    publicId: s.publicId,
    reason: harmless(s.reason, 500),
    by: harmless(s.by, 200),
    since: time(s.since),
    until: time(s.until),
    ...(s.endedAt === undefined ? {} : { endedAt: time(s.endedAt), endedBy: harmless(s.endedBy ?? "", 200) }),
  };
}
