/**
 * The lanes as their machines told them last, kept by member: what somebody asks, nothing that a quota depends on. Bounded by member and
 * over all; a member that leaves takes its lanes along.
 */
import { harmless } from "../../model/harmless.ts";
import type { LaneReport } from "../../model/traffic.ts";
import type { LaneAnswer } from "../../quota/answers.ts";
import { siteName } from "../statistics/paths.ts";

export interface LanesTold {
  told(member: string, lanes: readonly LaneReport[], now: number): void;
  left(member: string): void;
  of(member: string): readonly LaneAnswer[];
  all(): Iterable<LaneAnswer>;
  /** Grows with each change. */
  readonly version: number;
}

/** Of a member: those with most to do. A newsletter meets a hundred thousand sites, most of them for a second. */
const MOST_OF_MEMBER = 2_000;
/** Over all members, at 0.4 KB each. */
const MOST = 50_000;
/** What every member may have however many there are. */
const LEAST_OF_MEMBER = 50;

export function openLanesTold(): LanesTold {
  const byMember = new Map<string, readonly LaneAnswer[]>();
  let total = 0;
  let version = 0;

  function forget(member: string): void {
    total -= byMember.get(member)?.length ?? 0;
    byMember.delete(member);
    version++;
  }

  return {
    told(member, lanes, now) {
      forget(member);
      const most = Math.max(LEAST_OF_MEMBER, Math.min(MOST_OF_MEMBER, MOST - total));
      const busiest = lanes.length <= most ? lanes : lanes.toSorted((a, b) => weight(b) - weight(a)).slice(0, most);
      const kept = busiest.map((lane) => laneAnswer(member, lane, now));
      byMember.set(member, kept);
      total += kept.length;
    },
    left: forget,
    of: (member) => byMember.get(member) ?? [],
    *all() {
      for (const lanes of byMember.values()) yield* lanes;
    },
    get version() {
      return version;
    },
  };
}

const weight = (lane: LaneReport): number =>
  (lane.hold === null ? 0 : 1e6) + lane.waiting + lane.inFlight + lane.sessions;

/** Only what an answer has: a client may say more than it should. */
function laneAnswer(member: string, lane: LaneReport, at: number): LaneAnswer {
  const { publicId, waiting, inFlight, sessions, hold } = lane;
  return {
    member: harmless(member, 255),
    at,
    site: siteName(lane.site),
    mx: harmless(lane.mx, 255),
    publicId,
    waiting,
    inFlight,
    sessions,
    hold:
      hold === null
        ? null
        : {
            kind: hold.kind,
            by: harmless(hold.by, 100),
            text: harmless(hold.text),
            since: hold.since,
            until: hold.until,
          },
  };
}
