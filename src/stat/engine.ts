/**
 * The quota engine (stat/contract.ts Engine): who holds which connections and messages, who waits for what. No sockets, no timers, no clock
 * of its own: time comes in with each call and never goes back, so the simulation (bench/quota-sim.ts) turns days in seconds.
 *
 * It promises: no limit of a rule is exceeded while it runs, whoever is lost and whatever they do by their shares; who waits is served in
 * turns and as soon as there is room; a restored engine knows at least as much as was granted. The files of engine/ say how.
 */
import { matchRule, type MxRules } from "../model/mx-rules.ts";
import type { ClientMessage, ServerMessage } from "../quota/messages.ts";
import type { Engine, Governor } from "./contract.ts";
import { openAlarms } from "./engine/alarms.ts";
import { type Books, type Counter, type Member, openCounter } from "./engine/books.ts";
import { openCurbsTold } from "./engine/curbs.ts";
import { changeRules, reconsider, regovern, tellRules } from "./engine/change.ts";
import { ENDING_MS, endReport, joinMember, loseMember, passAway, passesAt, settleReported } from "./engine/join.ts";
import { balance, countMembers, tellPlans, waitsForSave } from "./engine/members.ts";
import { cancel, chargeBytes, giveBack, release, takeRequest, takeUsed } from "./engine/requests.ts";
import { payOff } from "./engine/room.ts";
import { beginWait, serve } from "./engine/serve.ts";
import { heard, tellShares } from "./engine/shares.ts";
import { showCounters } from "./engine/show.ts";
import { restoreSnapshot, storeSnapshot, takeSnapshot } from "./engine/snapshot.ts";
import { forgetIdle } from "./engine/forget.ts";

export interface EngineOptions {
  readonly governor: Governor;
  readonly rules: MxRules;
  /** How long a member may go on by its share when the server is gone. */
  readonly horizonMs: number;
  /** A member of which nothing was heard for so long is lost: whoever calls `leave` does so then, at the latest. */
  readonly silenceMs: number;
  /** Default ENDING_MS (engine/join.ts). */
  readonly endingMs?: number;
}

/** Counters nobody uses are looked for this often. */
const FORGET_MS = 60_000;

export function openEngine(options: EngineOptions): Engine {
  const { governor, horizonMs, silenceMs, endingMs = ENDING_MS } = options;
  const alarms = openAlarms();
  const observers = new Map<string, (message: ServerMessage) => void>();
  let forgetAt = 0;
  const curbs = openCurbsTold(governor);
  const books: Books = {
    governor,
    horizonMs,
    silenceMs,
    endingMs,
    rules: options.rules,
    members: new Map(),
    doubtful: new Set(),
    gone: [],
    counters: new Map(),
    sites: new Map(),
    waiting: new Set(),
    gated: new Set(),
    dirty: new Set(),
    gateMembers: 1,
    snappedMembers: 1,
    gapMembers: 1,
    restoredAt: 0,
    order: 0,
    alarm: alarms.set,
  };

  const serveAll = (counters: Iterable<Counter>, now: number): void => {
    for (const counter of counters) serve(books, counter, now);
  };

  /** At the end of whatever happened: members hear what their shares have become. */
  function tell(): void {
    for (const member of books.dirty) tellShares(books, member, false);
  }

  function join(name: string, hello: Extract<ClientMessage, { t: "hello" }>, now: number, send: Member["send"]): void {
    if (hello.role === "observer") observers.set(name, send);
    else joinMember(books, name, hello, now, send);
    send({ t: "welcome", proof: "", now, members: countMembers(books), horizonMs, silenceMs });
    if (hello.role === "observer") return;
    const member = books.members.get(name);
    if (member === undefined) return;
    tellRules(books, member);
    curbs.changes(books.members.values(), now);
    curbs.all(member);
    const open = new Map<string, number>();
    for (const conn of member.conns.values()) if (!conn.revoked) regovern(books, conn, open, now, true);
    // What the process before it held may be free now.
    serveAll(books.waiting, now);
    tell();
  }

  function ask(member: Member, message: Extract<ClientMessage, { t: "acquire" | "more" }>, now: number): void {
    const request = takeRequest(books, member, message, now);
    if (request === null) return;
    for (const counter of request.places.keys()) {
      serve(books, counter, now);
      if (request.done) return;
    }
    beginWait(books, request, now);
  }

  function handle(name: string, message: ClientMessage, now: number): void {
    const member = books.members.get(name);
    if (message.t === "ping") return void (member?.send ?? observers.get(name))?.({ t: "pong", id: message.id, now });
    if (member === undefined) throw new Error("only members may say this");
    switch (message.t) {
      case "acquire":
      case "more":
        ask(member, message, now);
        break;
      case "cancel": {
        const counter = cancel(books, member, message.id, now);
        if (counter !== null) serve(books, counter, now);
        break;
      }
      case "return":
      case "release": {
        const conn = member.conns.get(message.conn);
        if (conn === undefined) break;
        const { counter } = conn;
        if (message.t === "return") giveBack(books, conn, message.back, now);
        else release(books, conn, message.back, now);
        serve(books, counter, now);
        break;
      }
      case "told": {
        const freed = heard(books, member, message.seq);
        balance(books);
        serveAll(freed, now);
        break;
      }
      case "used":
        takeUsed(member, message);
        if (message.last) {
          endReport(books, member, now);
          serveAll(books.waiting, now);
        }
        break;
      default:
        throw new Error(`not expected here: ${message.t}`);
    }
    if (books.dirty.size > 0) tell();
  }

  return {
    join,
    leave(name, now) {
      observers.delete(name);
      const member = books.members.get(name);
      if (member === undefined) return;
      loseMember(books, member, now);
      serveAll(books.waiting, now);
      tell();
    },
    handle,
    charge(_name, paths, now) {
      for (const { publicId, mx, ip, attempts, bytes } of paths) {
        if (attempts < 1) continue;
        const counter = openCounter(books, matchRule(books.rules, mx, publicId), publicId, ip, now);
        payOff(books, counter, now);
        chargeBytes(counter, attempts, bytes);
      }
    },
    setRules(rules, now) {
      changeRules(books, rules, now);
      tell();
    },
    reconsider(which, now) {
      curbs.changes(books.members.values(), now);
      reconsider(books, which, now);
      tell();
    },
    nextAt: () =>
      Math.min(alarms.nextAt(), passesAt(books), books.counters.size > 0 ? forgetAt : Number.POSITIVE_INFINITY),
    tick(now) {
      if (passAway(books, now)) serveAll(books.waiting, now);
      for (let counter = alarms.take(now); counter !== undefined; counter = alarms.take(now))
        serve(books, counter, now);
      if (now >= forgetAt) {
        forgetIdle(books, now);
        forgetAt = now + FORGET_MS;
      }
      tell();
    },
    snapshot: (now) => takeSnapshot(books, now),
    saved(now) {
      storeSnapshot(books);
      settleReported(books);
      tellPlans(books);
      curbs.changes(books.members.values(), now);
      books.gated.clear();
      serveAll(books.waiting, now);
      tell();
    },
    wantsSave: () => waitsForSave(books),
    restore(snapshot, now) {
      restoreSnapshot(books, snapshot, now);
    },
    counters: (now) => showCounters(books, now),
  };
}
