/**
 * A small honest quota in the test's own process (model/traffic.ts): rules by mask over the exchanger's name, first match wins, `*` with 20
 * connections is always there. Connections and the messages of an hour's twelve periods are counted by the rule's scope. Tests may hold a
 * site for a public id, revoke what is granted, and see what was observed and told.
 */
import type { Clock, Timer } from "../../src/base/clock.ts";
import { compileMask } from "../../src/model/mask.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import type {
  ConnectionGrant,
  Exchanger,
  Hold,
  HoldKind,
  LaneKey,
  LaneReport,
  Limits,
  Path,
  Traffic,
} from "../../src/model/traffic.ts";

const PERIODS = 12;
const PERIOD_MS = 300_000;

export interface PlainRule extends Partial<Omit<Limits, "rule">> {
  /** Mask over the exchanger's name. */
  readonly mx: string;
}

export interface PlainTraffic extends Traffic {
  /** Holds a site for a public id, or lets it go; grants that are open are revoked. */
  holdSite(site: string, publicId: number, kind: HoldKind | null): void;
  /** Says that it holds it, and grants nothing more; what is open stays. */
  holdMore(site: string, publicId: number, kind: HoldKind): void;
  /** Revokes every grant. */
  revoke(): void;
  readonly open: number;
  /** Requests for a connection that wait. */
  readonly waiting: number;
  /** Messages granted and not given back. */
  readonly spent: number;
  readonly observed: readonly { readonly path: Path; readonly outcome: Outcome; readonly bytes: number }[];
  readonly told: readonly LaneReport[];
}

interface Counter {
  open: number;
  period: number;
  spent: number;
  wakes: (() => void)[];
  timer: Timer | null;
}

interface Waiter {
  readonly lane: LaneKey;
  readonly exchangers: readonly Exchanger[];
  readonly urgent: boolean;
  readonly since: number;
  resolve(grant: ConnectionGrant | null): void;
}

interface Given {
  readonly lane: LaneKey;
  revoked: boolean;
  wake: (() => void) | null;
}

export const UNLIMITED: Limits = {
  rule: "*",
  scope: "path",
  connections: 20,
  messagesPerConnection: 1000,
  messagesPerMinute: 0,
  messagesPerHour: 0,
  messagesPerDay: 0,
  bytesPerSecond: 0,
  pacing: "periods",
  tls: "opportunistic",
  connectMs: 0,
  dataMs: 0,
  replyMs: 0,
};

export function openPlainTraffic(rules: readonly PlainRule[], clock: Clock): PlainTraffic {
  const all = [...rules, { mx: "*" }].map(({ mx, ...parts }) => ({
    matches: compileMask(mx),
    limits: { ...UNLIMITED, ...parts, rule: mx } satisfies Limits,
  }));
  const counters = new Map<string, Counter>();
  const waiters = new Set<Waiter>();
  const given = new Set<Given>();
  const holds = new Map<string, Hold>();
  const observed: { path: Path; outcome: Outcome; bytes: number }[] = [];
  const listeners: ((lane: Pick<LaneKey, "site" | "publicId">) => void)[] = [];
  let told: readonly LaneReport[] = [];
  let spent = 0;

  const limitsOf = (mx: string): Limits => all.find(({ matches }) => matches(mx))?.limits ?? UNLIMITED;
  const laneName = (lane: Pick<LaneKey, "site" | "publicId">): string => `${lane.site} ${lane.publicId}`;

  function counterOf({ rule, scope }: Limits, publicId: number, ip: string): Counter {
    const name = [rule, scope === "rule" ? "" : publicId, scope === "path" ? ip : ""].join("|");
    let counter = counters.get(name);
    if (counter === undefined) {
      counter = { open: 0, period: 0, spent: 0, wakes: [], timer: null };
      counters.set(name, counter);
    }
    return counter;
  }

  function serve(): void {
    for (const urgent of [true, false])
      for (const waiter of waiters) {
        if (waiter.urgent !== urgent) continue;
        const grant = tryGrant(waiter.lane, waiter.exchangers);
        if (grant === null) continue;
        waiters.delete(waiter);
        waiter.resolve(grant);
        tell(waiter.lane);
      }
  }

  function tryGrant(lane: LaneKey, exchangers: readonly Exchanger[]): ConnectionGrant | null {
    if (holds.has(laneName(lane))) return null;
    for (const exchanger of exchangers) {
      const limits = limitsOf(exchanger.mx);
      const counter = counterOf(limits, lane.publicId, exchanger.ip);
      if (counter.open < limits.connections) return grantOf(lane, exchanger, limits, counter);
    }
    return null;
  }

  function grantOf(lane: LaneKey, exchanger: Exchanger, limits: Limits, counter: Counter): ConnectionGrant {
    const entry: Given = { lane, revoked: false, wake: null };
    given.add(entry);
    counter.open++;
    return {
      exchanger,
      limits,
      get revoked() {
        return entry.revoked;
      },
      messages(wanted, wake) {
        if (entry.revoked || !given.has(entry)) return 0;
        const count = Math.min(wanted, left(limits, counter));
        counter.spent += count;
        spent += count;
        if (count > 0) return count;
        entry.wake = wake;
        counter.wakes.push(() => {
          entry.wake = null;
          if (given.has(entry)) wake();
        });
        wakeAtPeriod(counter);
        return 0;
      },
      unused(count) {
        counter.spent = Math.max(0, counter.spent - count);
        spent -= count;
        if (count > 0) for (const call of counter.wakes.splice(0)) setImmediate(call);
      },
      close() {
        if (!given.delete(entry)) return;
        counter.open--;
        serve();
      },
    };
  }

  function left(limits: Limits, counter: Counter): number {
    if (limits.messagesPerHour === 0) return Number.POSITIVE_INFINITY;
    const period = Math.floor(clock.now() / PERIOD_MS);
    if (counter.period !== period) Object.assign(counter, { period, spent: 0 });
    // The remainder of hour ÷ 12 goes to the first periods, so that a limit of 5 an hour is not 0 a period.
    const share =
      Math.floor(limits.messagesPerHour / PERIODS) + (period % PERIODS < limits.messagesPerHour % PERIODS ? 1 : 0);
    return Math.max(0, share - counter.spent);
  }

  function wakeAtPeriod(counter: Counter): void {
    const next = (Math.floor(clock.now() / PERIOD_MS) + 1) * PERIOD_MS;
    counter.timer ??= clock.after(next - clock.now(), () => {
      counter.timer = null;
      for (const call of counter.wakes.splice(0)) call();
    });
  }

  function tell(lane: Pick<LaneKey, "site" | "publicId">): void {
    for (const fn of listeners) fn(lane);
  }

  function revokeWhere(match: (entry: Given) => boolean): void {
    // What is granted because of it is not meant.
    const now = [...given].filter(match);
    for (const entry of now) {
      entry.revoked = true;
      entry.wake?.();
      tell(entry.lane);
    }
  }

  function setHold(site: string, publicId: number, kind: HoldKind): void {
    holds.set(laneName({ site, publicId }), { kind, by: "test", text: `held: ${kind}`, since: clock.now(), until: 0 });
  }

  return {
    connection(lane, exchangers, urgent, signal) {
      if (signal.aborted) return Promise.resolve(null);
      const grant = tryGrant(lane, exchangers);
      if (grant !== null) return Promise.resolve(grant);
      return new Promise((resolve) => {
        const waiter: Waiter = { lane, exchangers, urgent, since: clock.now(), resolve };
        waiters.add(waiter);
        signal.addEventListener("abort", () => {
          if (!waiters.delete(waiter)) return;
          resolve(null);
          tell(lane);
        });
        setImmediate(() => tell(lane));
      });
    },
    hold(lane) {
      const set = holds.get(laneName(lane));
      if (set !== undefined) return set;
      for (const { lane: other, exchangers, since } of waiters)
        if (laneName(other) === laneName(lane)) {
          const { rule } = limitsOf(exchangers[0]?.mx ?? "");
          return { kind: "connections", by: rule, text: "all its connections are open", since, until: 0 };
        }
      return null;
    },
    observe(path, outcome, bytes) {
      if (observed.length < 10_000) observed.push({ path, outcome, bytes });
    },
    onChange: (fn) => void listeners.push(fn),
    tellLanes: (lanes) => void (told = lanes),
    close() {
      for (const { timer } of counters.values()) timer?.cancel();
    },
    holdSite(site, publicId, kind) {
      const name = laneName({ site, publicId });
      if (kind === null) holds.delete(name);
      else setHold(site, publicId, kind);
      if (kind !== null) revokeWhere(({ lane }) => laneName(lane) === name);
      tell({ site, publicId });
      serve();
    },
    holdMore(site, publicId, kind) {
      setHold(site, publicId, kind);
      tell({ site, publicId });
    },
    revoke: () => revokeWhere(() => true),
    get open() {
      return given.size;
    },
    get waiting() {
      return waiters.size;
    },
    get spent() {
      return spent;
    },
    observed,
    get told() {
      return told;
    },
  };
}
