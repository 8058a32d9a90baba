/**
 * Decides whether the rules were kept. It hears what machines do at the moment they do it, and some of what passes over the wires (which
 * rules and which share a machine was told), and counts by the server's clock in books of its own (ledger.ts).
 *
 * Violations: an attempt over a limit of any window, whoever is cut off; a connection over a limit, but for the one that a machine without
 * server may always have; a machine without server over max(1, its share), or behind its horizon; an attempt at what was stopped seconds ago;
 * a burst under a smooth rule (bursts.ts).
 */
import type { LaneKey } from "../../src/model/traffic.ts";
import { DAY, WINDOWS, windowLimit, windowStart } from "../../src/quota/counter.ts";
import type { ClientMessage, ServerMessage } from "../../src/quota/messages.ts";
import { type Bursts, openBursts } from "./bursts.ts";
import type { Knows } from "./knows.ts";
import { type Count, type Ledger, type Open, openLedger } from "./ledger.ts";
import type { Machine, Watcher } from "./machine.ts";
import { HORIZON_MS, type SimServer } from "./server.ts";
import { type Waits, openWaits } from "./waits.ts";
import type { World } from "./world.ts";

export interface Oracle extends Watcher {
  readonly violations: number;
  readonly starved: number;
  readonly lostWakeUps: number;
  readonly attempts: number;
  readonly told: readonly string[];
  heard(member: number, message: ServerMessage): void;
  said(member: number, message: ClientMessage): void;
  note(text: string): void;
  reloaded(moved: boolean): void;
  suspended(site: string, publicId: number, on: boolean): void;
  slowed(site: string, publicId: number, connections: number): void;
  died(machine: Machine): void;
  /** Regularly: who is connected, who holds too much, who waits too long. */
  look(machines: readonly Machine[]): void;
}

/** New rules, revoked connections and returning machines have settled after this long. */
const SETTLED_MS = 30_000;
const GRACE_MS = 5000 + 6000;
const STOPPED_MS = 5000;
const REMEMBERED = 4000;
/** With a machine that has no connection nothing is called back. */
const VOID_MS = 3000;

export function openOracle(world: World, server: SimServer, machines: number): Oracle {
  const ledger: Ledger = openLedger(server.rules);
  const knows: Knows[] = Array.from({ length: machines }, () => ({
    version: 0,
    before: 0,
    versionAt: 0,
    members: 0,
    aloneAt: 0,
    disturbedAt: 0,
    diedAt: Number.NEGATIVE_INFINITY,
    curbs: [],
  }));
  const opens = new Map<string, Open>();
  const stopped = new Map<string, number>();
  const events: { readonly at: number; readonly about: string; readonly text: string }[] = [];
  const told: string[] = [];
  let violations = 0;
  let attempts = 0;
  let movedAt = Number.NEGATIVE_INFINITY;
  const bursts: Bursts = openBursts(ledger, knows, () => world.now, violation);
  const waits: Waits = openWaits({ world, server, ledger, knows, bursts, tell });

  const clock = (): string =>
    `${(world.now / 1000).toFixed(3)} (${new Date(server.now()).toISOString().slice(11, 23)})`;

  function remember(about: string, text: string): void {
    events.push({ at: world.now, about, text: `${clock()} ${text}` });
    if (events.length > 2 * REMEMBERED) events.splice(0, REMEMBERED);
  }

  function tell(kind: string, about: string, text: string): void {
    if (told.length >= 5) return;
    const last = events.filter((event) => event.about === about || event.about === "").slice(-40);
    told.push(
      `${kind} at ${clock()}: ${about}: ${text}\n    ${last.map((event) => event.text).join("\n    ")}\n    ${books(about)}`,
    );
  }

  /** Both books of a counter, for whoever has to find the difference. */
  function books(about: string): string {
    const theirs = server
      .engine()
      ?.counters(server.now())
      .find(({ counter }) => counter === about);
    const ours = Object.fromEntries(ledger.counts.get(about)?.byMachine ?? []);
    const limits = ledger.limitsOf(ledger.versions.length - 1, ledger.counts.get(about)?.rule ?? "");
    return `engine ${JSON.stringify(theirs)}\n    oracle ${JSON.stringify(ours)}\n    limits ${JSON.stringify(limits)}`;
  }

  function violation(kind: string, about: string, text: string): void {
    violations++;
    tell(kind, about, text);
  }

  const connected = (machine: Machine): boolean => machine.client?.connected === true;
  const knowsOf = (machine: Machine): Knows => knows[machine.index] as Knows;

  /** Connections a counter may have now: its limit, and one for each machine that opened some without the server. */
  function checkConns(count: Count): void {
    const limit = ledger.most(count.rule, server.now() - SETTLED_MS, ({ connections }) => connections);
    const alone = new Set<number>();
    for (const open of count.open) if (open.alone && world.now - open.backAt < SETTLED_MS) alone.add(open.machine);
    if (count.open.size <= limit + alone.size || world.now - movedAt < SETTLED_MS) return;
    violation(
      "too many connections",
      count.name,
      `${count.open.size} open, limit ${limit}, ${alone.size} machines without server`,
    );
  }

  function checkAttempt(machine: Machine, count: Count): void {
    const at = server.now();
    const { members, aloneAt, version } = knowsOf(machine);
    for (const w of WINDOWS) {
      const start = windowStart(w, at);
      const made = count.attempts[w] ?? 0;
      const limit = ledger.most(count.rule, start, (limits) => windowLimit(limits, w, start));
      if (made > limit)
        violation(
          "too many messages",
          count.name,
          `${made} of ${limit} in window ${w} since ${new Date(start).toISOString()}`,
        );
      if (limit === Number.POSITIVE_INFINITY || connected(machine)) continue;
      const own = count.byMachine.get(`${w} ${machine.index}`) ?? 0;
      const share = members === 0 ? 0 : Math.floor(limit / members);
      const begun = server.now() - (world.now - aloneAt);
      if (start > begun && own > share && w !== DAY)
        violation(
          "over its share",
          count.name,
          `${machine.name}: ${own} of ${share} in window ${w}, version ${version}`,
        );
    }
    bursts.attempted(count, at);
  }

  /** Octets are a debt: over a minute they keep to the rate, with what is under way besides. */
  function checkBytes(count: Count): void {
    const rate = ledger.most(
      count.rule,
      count.bytes.minute - 60_000,
      ({ bytesPerSecond }) => bytesPerSecond || Number.POSITIVE_INFINITY,
    );
    if (count.bytes.count > rate * 60 * 1.25 + rate * 5 + 50 * 32_000)
      violation("too many octets", count.name, `${count.bytes.count} in a minute at ${rate} a second`);
  }

  return {
    get violations() {
      return violations;
    },
    get starved() {
      return waits.starved;
    },
    get lostWakeUps() {
      return waits.lostWakeUps;
    },
    get attempts() {
      return attempts;
    },
    told,
    note: (text) => remember("", text),
    heard(index, message) {
      const one = knows[index] as Knows;
      bursts.heard(index, message);
      if (message.t === "shares") one.members = message.members;
      if (message.t === "curbs") {
        const gone = new Set([...message.over, ...message.curbs.map(({ id }) => id)]);
        one.curbs = [...(message.all ? [] : one.curbs.filter(({ id }) => !gone.has(id))), ...message.curbs];
      }
      // What is granted after the rules were told is granted under them.
      if (message.t === "void" || message.t === "grant") one.versionAt = Math.min(one.versionAt, world.now);
      if (message.t !== "rules" || !message.first) return;
      const version = Number(message.rules[0]?.note ?? 0);
      if (version === one.version) return;
      one.before = one.version;
      one.version = version;
      // What is in hand was granted under the rules before; it is called back in a moment.
      one.versionAt = Number.POSITIVE_INFINITY;
      world.after(VOID_MS, () => {
        if (one.version === version) one.versionAt = Math.min(one.versionAt, world.now);
      });
      for (const open of opens.values()) {
        if (open.machine !== index) continue;
        const name = ledger.nameOf(version, open.publicId, open.mx, open.ip);
        if (name === open.counter) continue;
        ledger.count(open.counter).open.delete(open);
        open.counter = name;
        ledger.count(name).open.add(open);
      }
      retire();
    },
    said: bursts.said,
    reloaded(moved) {
      ledger.versions.push({ number: ledger.versions.length, rules: server.rules, lastAt: Number.POSITIVE_INFINITY });
      if (moved) movedAt = world.now;
      waits.disturbed();
      remember("", `rules ${ledger.versions.length - 1}${moved ? ", one more" : ""}`);
      retire();
    },
    suspended(site, publicId, on) {
      if (on) stopped.set(`${site}|${publicId}`, world.now);
      else stopped.delete(`${site}|${publicId}`);
      waits.suspended(site, publicId, on);
      remember("", `${site} from ${publicId} ${on ? "stopped" : "goes on"}`);
    },
    slowed(site, publicId, connections) {
      // Who waits there is not looked at: how long it takes is the back-off's to say.
      waits.suspended(site, publicId, connections > 0);
      remember("", `${site} from ${publicId}: ${connections > 0 ? `${connections} connections` : "as before"}`);
    },
    asks: waits.asks,
    gaveUp: (_machine, request) => waits.gone(request),
    granted(machine, request, conn, { site, publicId }: LaneKey, ip, mx) {
      waits.gone(request);
      const one = knowsOf(machine);
      const counter = ledger.nameOf(one.version, publicId, mx, ip);
      const alone = !connected(machine);
      const open: Open = {
        machine: machine.index,
        conn,
        site,
        publicId,
        mx,
        ip,
        counter,
        alone,
        backAt: Number.POSITIVE_INFINITY,
      };
      opens.set(`${machine.name} ${conn}`, open);
      const count = ledger.count(counter);
      count.open.add(open);
      waits.served(machine.index, count);
      remember(counter, `${machine.name} opens ${conn}${alone ? " alone" : ""}: ${count.open.size}`);
      checkConns(count);
      waits.mark(count);
    },
    closed(machine, conn) {
      const open = opens.get(`${machine.name} ${conn}`);
      if (open === undefined) return;
      opens.delete(`${machine.name} ${conn}`);
      ledger.count(open.counter).open.delete(open);
      remember(open.counter, `${machine.name} closes ${conn}: ${ledger.count(open.counter).open.size}`);
    },
    attempted(machine, lane, ip, mx, bytes, since) {
      attempts++;
      const one = knowsOf(machine);
      const version = since < one.versionAt ? one.before : one.version;
      const count = ledger.count(ledger.nameOf(version, lane.publicId, mx, ip));
      ledger.attempt(count, machine.index, server.now(), bytes);
      remember(
        count.name,
        `${machine.name} attempts${connected(machine) ? "" : " alone"}: ${count.attempts.join(" ")}`,
      );
      checkAttempt(machine, count);
      checkBytes(count);
      if (world.now - one.aloneAt > HORIZON_MS && !connected(machine))
        violation(
          "behind the horizon",
          count.name,
          `${machine.name} attempts after ${world.now - one.aloneAt} ms without server`,
        );
      const stoppedAt = stopped.get(`${lane.site}|${lane.publicId}`);
      if (
        stoppedAt !== undefined &&
        world.now - stoppedAt > STOPPED_MS &&
        world.now - one.disturbedAt > STOPPED_MS &&
        connected(machine)
      )
        violation(
          "stopped",
          count.name,
          `${machine.name} attempts ${lane.site}, stopped ${world.now - stoppedAt} ms ago`,
        );
      waits.mark(count);
    },
    died(machine) {
      for (const [key, open] of opens) {
        if (open.machine !== machine.index) continue;
        opens.delete(key);
        ledger.count(open.counter).open.delete(open);
      }
      const one = knowsOf(machine);
      one.diedAt = one.disturbedAt = world.now;
      one.aloneAt = world.now;
      one.members = 0;
      one.curbs = [];
      waits.died(machine.index);
      bursts.died(machine.index);
      remember("", `${machine.name} dies`);
    },
    look(all) {
      for (const machine of all) {
        const one = knowsOf(machine);
        if (connected(machine)) {
          if (one.aloneAt === Number.POSITIVE_INFINITY) continue;
          remember("", `${machine.name} has the server back`);
          one.aloneAt = Number.POSITIVE_INFINITY;
          one.disturbedAt = world.now;
          for (const open of opens.values())
            if (open.machine === machine.index) open.backAt = Math.min(open.backAt, world.now);
        } else {
          one.disturbedAt = world.now;
          if (one.aloneAt !== Number.POSITIVE_INFINITY) continue;
          one.aloneAt = world.now;
          remember("", `${machine.name} is without server`);
        }
      }
      for (const count of ledger.counts.values()) {
        checkConns(count);
        checkAlone(count);
      }
      for (const machine of all) checkCurbs(machine.index);
      waits.look();
    },
  };

  /** Behind the grace a machine without server holds no more than its share, or one. */
  function checkAlone(count: Count): void {
    const held = new Map<number, number>();
    for (const { machine } of count.open) held.set(machine, (held.get(machine) ?? 0) + 1);
    for (const [index, conns] of held) {
      const { aloneAt, members } = knows[index] as Knows;
      if (world.now - aloneAt < GRACE_MS || aloneAt === Number.POSITIVE_INFINITY) continue;
      const limit = ledger.most(count.rule, server.now() - HORIZON_MS, ({ connections }) => connections);
      const share = Math.max(1, members === 0 ? 0 : Math.floor(limit / members));
      if (conns > share)
        violation("over its share", count.name, `machine ${index} holds ${conns} connections, its share is ${share}`);
      if (world.now - aloneAt > HORIZON_MS + GRACE_MS)
        violation("behind the horizon", count.name, `machine ${index} holds ${conns} connections`);
    }
  }

  /** Nor more than its share of what a back-off left, and nothing where nothing may go. */
  function checkCurbs(index: number): void {
    const { aloneAt, members, curbs } = knows[index] as Knows;
    if (curbs.length === 0 || aloneAt === Number.POSITIVE_INFINITY || world.now - aloneAt < GRACE_MS) return;
    const held = [...opens.values()].filter(({ machine }) => machine === index);
    for (const { site, publicId, limits } of curbs) {
      const conns = held.filter((open) => open.site === site && open.publicId === publicId).length;
      const most = limits === null ? 0 : Math.max(1, Math.floor(limits.connections.value / Math.max(1, members)));
      if (conns > most)
        violation("over its share of a back-off", site, `machine ${index} holds ${conns} connections of ${most}`);
    }
  }

  /** Versions nobody goes by any more are of the past. */
  function retire(): void {
    const current = ledger.versions.length - 1;
    for (const version of ledger.versions) {
      const used =
        version.number === current ||
        knows.some((one) => one.version === version.number && one.diedAt < one.disturbedAt);
      if (used) version.lastAt = Number.POSITIVE_INFINITY;
      else if (version.lastAt === Number.POSITIVE_INFINITY) version.lastAt = server.now();
    }
  }
}
