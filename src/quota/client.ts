/**
 * The quota client: model/traffic.ts Traffic over a link to the statistics server (quota/link-contract.ts). Messages are asked for ahead
 * and in batches; a request that cannot be met waits in the server and costs nothing here. Without the server it goes on by its share until
 * the horizon (client/alone.ts); a client that has never met one waits.
 *
 * Nothing polls: one timer, for what is due next (client/dues.ts), and none but the ping of the clock when nothing is going on.
 */
import { randomBytes } from "node:crypto";
import type { Clock } from "../base/clock.ts";
import type { ConnectionGrant, LaneKey, LaneReport, Limits, Traffic } from "../model/traffic.ts";
import type { AloneNote } from "./alone-file.ts";
import { type Alone, goAlone } from "./client/alone.ts";
import { type Connection, type ConnectionDesk, openConnection } from "./client/connection.ts";
import { openCurbs } from "./client/curbs.ts";
import { type Desk, type Pending, counterOf } from "./client/desk.ts";
import { openDues } from "./client/dues.ts";
import { openLaneHolds } from "./client/lane-holds.ts";
import { openQueries } from "./client/queries.ts";
import { fitting } from "./fit.ts";
import { heldOf } from "./client/held.ts";
import { openNoting } from "./client/noting.ts";
import { remember } from "./client/remember.ts";
import { openReports } from "./client/reports.ts";
import { openServerTime } from "./client/server-time.ts";
import { openShares } from "./client/share.ts";
import { openUsage } from "./client/usage.ts";
import type { Link, Welcome } from "./link-contract.ts";
import type { GivenBack, QueryName, ServerMessage } from "./messages.ts";

export interface QuotaClientOptions {
  readonly clock: Clock;
  readonly link: Link;
  /** Drawn when the process began (messages.ts hello). Not given: random. */
  readonly process?: string;
  /**
   * Where it is noted that the share is used without a server (quota/alone-file.ts). Without one the server must think of every process that
   * ends that it had used all of its share.
   */
  readonly note?: AloneNote;
  /** Nothing is attempted in the last so many ms before a permission ends: a message takes a while to the wire. */
  readonly guardMs?: number;
  /** Said once each: the server is gone, is back, the horizon has passed. */
  readonly say?: (text: string) => void;
}

export interface QuotaClient extends Traffic {
  /** Whether the server is there. */
  readonly connected: boolean;
  /** The server's answer to a query; rejects when the link is down or goes down, and after 10 s. */
  query(what: QueryName, args: Readonly<Record<string, unknown>>): Promise<unknown>;
}

const GUARD_MS = 1000;
const PING_MS = 3000;
const LANES_MS = 2000;
/** Messages nobody took for so long go back. */
const UNUSED_MS = 3000;
/** Asked for with a connection. */
const FIRST_MESSAGES = 50;
/** Lines of the protocol have an end. */
const USED_CHUNK = 1000;
const MOST_LANES = 400;
const NEVER = "no statistics server has answered yet";

export function openQuotaClient(options: QuotaClientOptions): QuotaClient {
  const { clock, link, guardMs = GUARD_MS, say = () => {}, note } = options;
  const process = options.process ?? randomBytes(12).toString("hex");
  const listeners: ((lane: Pick<LaneKey, "site" | "publicId">) => void)[] = [];
  const changed = (lane: LaneKey): void => listeners.forEach((fn) => fn(lane));
  const reports = openReports();
  const usage = openUsage(process);
  const shares = openShares(usage);
  const queries = openQueries(clock, link);
  /** The site of a path. */
  const sites = new Map<string, string>();
  let phase: "new" | "up" | "down" = "new";
  /** A hello is on its way: what it says must stay true. */
  let frozen = false;
  let helloAt = 0;
  let proofAt = 0;
  let pingAt = 0;
  let pings = 0;
  let horizonMs = 0;
  let silenceMs = 0;
  let alone: Alone | null = null;
  /** Closed while a hello was on its way that says they are held. */
  let closedMeanwhile: number[] = [];
  let lanes: readonly LaneReport[] | null = null;
  let lanesAt = Number.NEGATIVE_INFINITY;
  let ids = 0;
  let closed = false;
  const noting = openNoting(note, say);

  const desk: Desk = {
    time: openServerTime(),
    usage,
    shares,
    curbs: openCurbs(process),
    holds: openLaneHolds(changed),
    pending: new Map(),
    mores: new Map(),
    conns: new Map(),
    monotonic: clock.monotonic,
    hand,
    supply,
  };
  const { pending, mores, conns, curbs, holds, time } = desk;

  const dues = openDues<"ping" | "report" | "lanes" | "unused" | "share">(clock, (name) => {
    const now = clock.monotonic();
    if (name === "ping") ping();
    else if (name === "report") report();
    else if (name === "lanes") sendLanes();
    else if (name === "share") serveAlone();
    else {
      for (const conn of conns.values()) if (phase === "up") conn.giveBack(now - UNUSED_MS);
      if ([...conns.values()].some(({ inHand }) => inHand > 0)) dues.by("unused", now + UNUSED_MS / 2);
    }
  });

  const connectionDesk: ConnectionDesk = {
    monotonic: clock.monotonic,
    revoked(conn) {
      stopAsking(conn);
      changed(conn.lane);
    },
    valid(until) {
      const now = clock.monotonic();
      return time.late(now) + guardMs < until && (alone === null || now < alone.horizonAt);
    },
    more(conn, messages) {
      conn.asking = ++ids;
      mores.set(conn.asking, conn);
      holds.add(conn);
      if (phase === "up") link.send({ t: "more", id: conn.asking, conn: conn.id, messages, urgent: conn.urgent });
      // Not from within the mta's own call.
      else dues.by("share", clock.monotonic());
    },
    dry(conn) {
      if (alone !== null && conn.asking !== 0) dues.by("share", clock.monotonic());
    },
    back(conn, back) {
      giveBack(conn, back);
      if (phase === "up") link.send({ t: "return", conn: conn.id, back });
      else dues.by("share", clock.monotonic());
    },
    closed(conn, back) {
      conns.delete(conn.id);
      usage.connection(conn.counter, -1);
      giveBack(conn, back);
      stopAsking(conn);
      if (conn.attempted > 0) reports.connected(conn.lane.site, conn.path);
      if (phase === "up") link.send({ t: "release", conn: conn.id, back });
      else if (frozen) closedMeanwhile.push(conn.id);
      else dues.by("share", clock.monotonic());
    },
  };

  function giveBack(conn: Connection, back: readonly GivenBack[]): void {
    for (const [at, messages] of back) usage.count(conn.counter, at, -messages);
    alone?.back(conn, back);
  }

  function stopAsking(conn: Connection): void {
    if (conn.asking === 0) return;
    mores.delete(conn.asking);
    holds.remove(conn);
    if (phase === "up") link.send({ t: "cancel", id: conn.asking });
    conn.asking = 0;
  }

  function hand(
    request: Pending,
    exchanger: { mx: string; ip: string },
    limits: Limits,
    at: number,
    until: number,
    messages: number,
  ): void {
    const { id, lane, urgent } = request;
    pending.delete(id);
    holds.remove(request);
    const counter = counterOf(limits, lane, exchanger.ip);
    const conn = openConnection(connectionDesk, { id, lane, exchanger, urgent, counter, limits, granted: 0 });
    conns.set(id, conn);
    usage.connection(counter, 1);
    usage.count(counter, at, messages);
    remember(sites, `${lane.publicId} ${exchanger.ip}`, lane.site);
    conn.take(at, until, messages);
    dues.by("unused", clock.monotonic() + UNUSED_MS);
    request.settle(conn.grant);
  }

  function supply(conn: Connection, at: number, until: number, messages: number): void {
    mores.delete(conn.asking);
    conn.asking = 0;
    holds.remove(conn);
    usage.count(conn.counter, at, messages);
    dues.by("unused", clock.monotonic() + UNUSED_MS);
    conn.take(at, until, messages);
  }

  function ping(): void {
    if (phase !== "up") return;
    pingAt = clock.monotonic();
    link.send({ t: "ping", id: ++pings });
    dues.by("ping", pingAt + PING_MS);
  }

  function report(): void {
    if (phase === "up") for (const message of reports.take()) link.send(message);
  }

  function sendLanes(): void {
    if (phase !== "up" || lanes === null) return;
    lanesAt = clock.monotonic();
    const most =
      lanes.length <= MOST_LANES ? lanes : lanes.toSorted((a, b) => b.waiting - a.waiting).slice(0, MOST_LANES);
    link.send({ t: "lanes", lanes: most.slice(0, fitting(most)) });
    lanes = null;
  }

  function serveAlone(): void {
    if (phase === "down" && !frozen && alone !== null) dues.by("share", alone.serve());
  }

  function up(welcome: Welcome): void {
    const now = clock.monotonic();
    if (phase === "down") say("the statistics server is back");
    phase = "up";
    frozen = false;
    alone = null;
    ({ horizonMs, silenceMs } = welcome);
    proofAt = helloAt;
    shares.aloneFrom(Number.POSITIVE_INFINITY);
    time.forget();
    time.heard(welcome.now, helloAt, now);
    dues.never("share");
    const used = usage.report(welcome.now);
    for (let i = 0; i === 0 || i < used.length; i += USED_CHUNK)
      link.send({ t: "used", counters: used.slice(i, i + USED_CHUNK), last: i + USED_CHUNK >= used.length });
    for (const id of closedMeanwhile.splice(0)) link.send({ t: "release", conn: id, back: [] });
    for (const conn of mores.values()) {
      holds.set(conn, null);
      link.send({ t: "more", id: conn.asking, conn: conn.id, messages: conn.asked, urgent: conn.urgent });
    }
    for (const request of pending.values()) acquire(request);
    ping();
    dues.by("report", now + Math.min(1000, reports.withinMs));
    sendLanes();
  }

  function down(): void {
    frozen = false;
    closedMeanwhile = [];
    queries.fail();
    if (phase === "up") {
      say("the statistics server is gone: this machine goes on by its share");
      phase = "down";
      dues.never("ping");
      alone = goAlone(desk, { proofAt, horizonMs, silenceMs, guardMs, wall: clock.now(), say, may: noting.write });
    }
    if (phase === "down") dues.by("share", clock.monotonic());
  }

  function acquire(request: Pending): void {
    const { id, lane, exchangers, urgent } = request;
    holds.set(request, null);
    const { site, publicId } = lane;
    link.send({ t: "acquire", id, site, publicId, exchangers, messages: FIRST_MESSAGES, urgent });
  }

  function hear(message: ServerMessage): void {
    switch (message.t) {
      case "grant": {
        const request = message.limits === null ? undefined : pending.get(message.id);
        const conn = message.limits === null ? mores.get(message.id) : undefined;
        const exchanger = request?.exchangers[message.chosen];
        // What is no longer wanted was cancelled, and the server takes it back.
        if (request !== undefined && exchanger !== undefined && message.limits !== null)
          hand(request, exchanger, message.limits, message.at, message.until, message.messages);
        else if (conn !== undefined) supply(conn, message.at, message.until, message.messages);
        break;
      }
      case "wait": {
        const waiter = pending.get(message.id) ?? mores.get(message.id);
        if (waiter !== undefined) holds.set(waiter, message.hold);
        break;
      }
      case "revoke":
        for (const id of message.conns) conns.get(id)?.revoke();
        break;
      case "limits":
        for (const id of message.conns) limited(conns.get(id), message.limits);
        break;
      case "void":
        for (const id of message.conns) conns.get(id)?.recall();
        break;
      case "rules":
        shares.tellRules(message);
        break;
      case "curbs":
        curbs.tell(message);
        break;
      case "shares":
        shares.tell(message);
        if (message.all) noting.strikeOut();
        link.send({ t: "told", seq: message.seq });
        break;
      case "pong":
        if (message.id !== pings) break;
        time.heard(message.now, pingAt, clock.monotonic());
        usage.pass(message.now);
        proofAt = pingAt;
        break;
      case "answer":
        queries.answer(message.id, message.data);
        break;
      default: // challenge and welcome are the link's; leave and error are followed by its end
    }
  }

  function limited(conn: Connection | undefined, limits: Limits): void {
    if (conn === undefined) return;
    const counter = counterOf(limits, conn.lane, conn.path.ip);
    if (counter !== conn.counter) {
      usage.connection(conn.counter, -1);
      usage.connection(counter, 1);
      conn.counter = counter;
    }
    conn.limits = limits;
  }

  link.open({
    held() {
      frozen = true;
      helloAt = clock.monotonic();
      closedMeanwhile = [];
      const held = heldOf([...conns.values()]);
      // A hello is one line: what does not fit into it is given up.
      const fit = fitting(held);
      for (const conn of [...conns.values()].slice(fit)) conn.revoke();
      return { process, ...(note !== undefined && { unsure: noting.unsure }), held: held.slice(0, fit) };
    },
    up,
    message: hear,
    down,
  });

  return {
    get connected() {
      return phase === "up";
    },
    connection(lane, exchangers, urgent, signal) {
      if (signal.aborted || closed || exchangers.length === 0) return Promise.resolve(null);
      return new Promise((resolve) => {
        const settle = (grant: ConnectionGrant | null): void => {
          signal.removeEventListener("abort", abort);
          resolve(grant);
        };
        const request: Pending = { id: ++ids, lane, exchangers, urgent, hold: null, settle };
        const abort = (): void => {
          pending.delete(request.id);
          holds.remove(request);
          if (phase === "up") link.send({ t: "cancel", id: request.id });
          settle(null);
        };
        signal.addEventListener("abort", abort, { once: true });
        pending.set(request.id, request);
        holds.add(request);
        if (phase === "up") acquire(request);
        else if (alone !== null) dues.by("share", clock.monotonic());
        else holds.set(request, { kind: "stat", by: "", text: NEVER, since: clock.now(), until: 0 });
      });
    },
    hold: (lane) => holds.of(lane),
    observe(path, outcome, bytes) {
      reports.add(path.site || (sites.get(`${path.publicId} ${path.ip}`) ?? path.mx), path, outcome, bytes);
      if (reports.withinMs !== Number.POSITIVE_INFINITY) dues.by("report", clock.monotonic() + reports.withinMs);
    },
    onChange: (fn) => void listeners.push(fn),
    tellLanes(told) {
      lanes = told;
      dues.by("lanes", Math.max(clock.monotonic(), lanesAt + LANES_MS));
    },
    query: (what, args) =>
      phase === "up" ? queries.ask(what, args) : Promise.reject(new Error("no statistics server answers")),
    close() {
      closed = true;
      dues.close();
      for (const request of pending.values()) request.settle(null);
      pending.clear();
      queries.fail();
      link.close();
    },
  };
}
