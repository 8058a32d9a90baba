/**
 * What the statistics server answers when somebody asks (quota/answers.ts): from the engine's counters, the governor's measures, the statistics
 * and the lanes the machines tell. It only looks. Answers are bounded, whoever asks and however much there is; a question that makes no
 * sense is an Error whose message is the answer.
 */
import { harmless } from "../model/harmless.ts";
import type { MxRules } from "../model/mx-rules.ts";
import type { LaneReport } from "../model/traffic.ts";
import type {
  CounterAnswer,
  CountersAnswer,
  ExplainAnswer,
  LanesAnswer,
  MeasuresAnswer,
  MemberAnswer,
  MembersAnswer,
} from "../quota/answers.ts";
import type { QueryName } from "../quota/messages.ts";
import type { CounterState, Engine, Governor } from "./contract.ts";
import { type Args, fit, numberArg, textArg, textsArg } from "./queries/fit.ts";
import { openLanesTold } from "./queries/lanes-told.ts";
import { countersOf, type Look, makeLook, measuresOf, type Scene } from "./queries/look.ts";
import { answerSite, answerSites, limitAnswer, type SitesDeps } from "./queries/sites.ts";
import type { Statistics } from "./statistics.ts";
import { siteName } from "./statistics/paths.ts";

/** Fits stat/server/parts.ts Parts. Nothing here throws for what a member said, but `answer`. */
export interface Queries {
  joined(member: string, role: "member" | "observer", now: number): void;
  left(member: string): void;
  lanes(member: string, lanes: readonly LaneReport[], now: number): void;
  /** Rejects or throws an Error whose message may be told. */
  answer(what: QueryName, args: Args, now: number): unknown;
}

export interface QueriesDeps {
  readonly engine: Pick<Engine, "counters">;
  readonly governor: Pick<Governor, "list" | "govern">;
  readonly statistics: Pick<Statistics, "sites" | "sitesBeginning" | "recentSites" | "paths" | "slots" | "totals">;
  /** Those in force. */
  rules(): MxRules;
  /** Has rules and settings read again; what it came to (quota/answers.ts ReloadAnswer). */
  reload(): unknown;
}

/** How long a look is good for, and longer by so much for each counter and lane in it: 20,000 cost 30 ms, so at most every ten seconds. */
const LOOK_MS = 1_000;
const LOOK_MS_EACH = 0.5;
const MOST = 1_000;
const MOST_ID = 2 ** 31 - 1;
/** Addresses of one exchanger: what the mta's resolver keeps. */
const MOST_IPS = 64;

export function openQueries(deps: QueriesDeps): Queries {
  const members = new Map<string, { readonly role: "member" | "observer"; readonly since: number }>();
  const told = openLanesTold();
  let seen: Look | null = null;
  let seenVersion = -1;

  function look(now: number): Look {
    const goodMs = LOOK_MS + LOOK_MS_EACH * ((seen?.counters.length ?? 0) + (seen?.lanesBySite.size ?? 0));
    const fresh = seen !== null && Math.abs(now - seen.at) < goodMs;
    // What has changed is seen at once as long as there is little of it.
    if (seen !== null && fresh && (seenVersion === told.version || seen.lanesBySite.size > MOST)) return seen;
    seenVersion = told.version;
    seen = makeLook(now, {
      lanes: told.all(),
      measures: deps.governor.list(now),
      counters: deps.engine.counters(now),
      sites: () => deps.statistics.sites(),
    });
    return seen;
  }

  const sites: SitesDeps = { ...deps, rules: () => deps.rules(), look, members: () => membersOf().length };

  function membersOf(): string[] {
    return [...members].flatMap(([member, { role }]) => (role === "member" ? [member] : []));
  }

  function membersAnswer(now: number): MembersAnswer {
    const all = [...members]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([member, { role, since }]): MemberAnswer => {
        const lanes = told.of(member);
        const sum = (name: "waiting" | "inFlight" | "sessions"): number => lanes.reduce((n, lane) => n + lane[name], 0);
        return {
          member: harmless(member, 255),
          role,
          since,
          lanes: lanes.length,
          waiting: sum("waiting"),
          inFlight: sum("inFlight"),
          sessions: sum("sessions"),
        };
      });
    const shown = fit(all.slice(0, MOST));
    return { now, members: shown, more: all.length - shown.length };
  }

  function lanesAnswer(args: Args, now: number): LanesAnswer {
    const member = textArg(args, "member");
    const site = textArg(args, "site");
    const wanted = site === "" ? "" : siteName(site.toLowerCase());
    const of = member === "" ? [...told.all()] : told.of(member);
    const all = of
      .filter((lane) => wanted === "" || lane.site === wanted)
      .toSorted((a, b) => b.waiting + b.inFlight - a.waiting - a.inFlight);
    const shown = fit(all.slice(0, numberArg(args, "limit", MOST, MOST)));
    return { now, lanes: shown, more: all.length - shown.length };
  }

  function countersAnswer(args: Args, now: number): CountersAnswer {
    const rule = textArg(args, "rule");
    const publicId = numberArg(args, "publicId", -1, MOST_ID);
    const all = look(now)
      .counters.filter((one) => (rule === "" || one.rule === rule) && (publicId === -1 || one.publicId === publicId))
      .toSorted((a, b) => b.waiting - a.waiting || b.connections - a.connections || b.spent - a.spent);
    const shown = fit(all.slice(0, MOST).map(counterAnswer));
    return { now, counters: shown, more: all.length - shown.length };
  }

  function warmUpAnswer(args: Args, now: number): MeasuresAnswer {
    const publicId = numberArg(args, "publicId", -1, MOST_ID);
    const all = look(now).measures.filter(
      (measure) => measure.kind === "warm-up" && (publicId === -1 || measure.publicId === publicId),
    );
    return { now, measures: fit(all) };
  }

  /** What is at work for one exchanger (`mx`, and its addresses `ips` if known) from one public id. */
  function explainAnswer(args: Args, now: number): ExplainAnswer {
    const mx = harmless(textArg(args, "mx"), 255).toLowerCase();
    if (mx === "") throw new Error("which exchanger? name it as mx");
    const publicId = numberArg(args, "publicId", 0, MOST_ID);
    const ips = new Set(textsArg(args, "ips", MOST_IPS).map((ip) => harmless(ip, 64)));
    const site = siteName(textArg(args, "site").toLowerCase()) || mx;
    // Of this exchanger alone: what is for another one of the site does not hold it.
    const scene: Scene = { site, names: [mx], publicIds: [publicId], ips };
    const seen = look(now);
    return {
      now,
      limit: limitAnswer(sites, site, { publicId, mx, ip: [...ips][0] ?? "" }, now),
      measures: fit(measuresOf(seen, scene), 80 * 1024),
      counters: fit(countersOf(seen, scene, deps.rules()).map(counterAnswer), 80 * 1024),
    };
  }

  return {
    joined: (member, role, now) => void members.set(member, { role, since: now }),
    left(member) {
      members.delete(member);
      told.left(member);
    },
    lanes: (member, lanes, now) => told.told(member, lanes, now),
    answer(what, args, now) {
      switch (what) {
        case "sites":
          return answerSites(sites, args, now);
        case "site":
          return answerSite(sites, args, now);
        case "lanes":
          return lanesAnswer(args, now);
        case "members":
          return membersAnswer(now);
        case "counters":
          return countersAnswer(args, now);
        case "warm-up":
          return warmUpAnswer(args, now);
        case "explain":
          return explainAnswer(args, now);
        case "reload":
          return deps.reload();
      }
    },
  };
}

function counterAnswer(c: CounterState): CounterAnswer {
  const { publicId, ip, connections, connectionLimit, spent, periodLimit, periodEnd, waiting } = c;
  return {
    counter: harmless(c.counter, 400),
    rule: harmless(c.rule, 255),
    publicId,
    ip,
    connections,
    connectionLimit,
    spent,
    periodLimit,
    periodEnd,
    waiting,
  };
}
