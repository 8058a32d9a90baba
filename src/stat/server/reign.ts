/**
 * One reign: a server that leads, with its engine and governor, its members and the one timer. Messages go to the engine, reports to the
 * governor too, questions to whoever answers them, and time to both.
 *
 * A new reign begins from what the last one saved and grants at once: the engine saves before it grants more than a share, so what was
 * granted after the last save is within what it keeps for those it has not heard of yet (stat/contract.ts Engine.saved).
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { type ClientMessage, MOST_LINE } from "../../quota/messages.ts";
import { type Memory, openSaving } from "../rebuild.ts";
import { BadMessage, type Hello } from "./check.ts";
import type { Parts } from "./parts.ts";
import type { Peer } from "./peer.ts";

export interface ReignDeps {
  readonly parts: Parts;
  /** Server ms. */
  readonly now: () => number;
  /** May this server grant? False ends the reign (`end` is called by whoever keeps the lease). */
  readonly holds: () => boolean;
  readonly memory: Memory | null;
  readonly silenceMs: number;
  readonly saveMs: number;
  /** False when another leads by now. */
  readonly save: (memory: Memory) => Promise<boolean>;
  readonly refused: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Reign {
  readonly parts: Parts;
  admit(peer: Peer, hello: Hello): void;
  message(peer: Peer, message: ClientMessage): void;
  gone(peer: Peer): void;
  /** After each turn, and when rules or measures were changed from outside of a message: sees to the timer and to the next save. */
  turn(): void;
  memory(): Memory;
  /** Sends everybody away. */
  end(text: string): void;
}

/** Of one client, without an answer yet. */
const MOST_QUERIES = 16;
const FARTHEST_MS = 3_600_000;

export function openReign(deps: ReignDeps): Reign {
  const { parts, now, holds, clock, log } = deps;
  const { engine, governor } = parts;
  const members = new Map<string, Peer>();
  const observers = new Set<Peer>();
  const asking = new Map<Peer, number>();
  let changed = true;
  let over = false;
  let timer: Timer | null = null;
  let plannedFor = Infinity;

  governor.onChange((which) => {
    if (!over) engine.reconsider(which, now());
  });
  if (deps.memory !== null) {
    engine.restore(deps.memory.engine, now());
    governor.restore(deps.memory.governor, now());
  }

  const reign: Reign = {
    parts,
    admit(peer, hello) {
      if (over || !holds()) return peer.leave("this server does not lead");
      const { member, role } = hello;
      if (role === "observer") {
        observers.add(peer);
        parts.joined?.(member, role, now());
        // Without a place in the engine: it neither holds anything nor counts in the shares.
        return peer.send({
          t: "welcome",
          proof: "",
          now: now(),
          members: members.size,
          horizonMs: 0,
          silenceMs: deps.silenceMs,
        });
      }
      const older = members.get(member);
      if (older !== undefined) {
        members.delete(member);
        part(member);
        older.fail(`a newer connection has the name ${member}`);
      }
      members.set(member, peer);
      parts.joined?.(member, role, now());
      engine.join(member, hello, now(), (message) => peer.send(message));
      changed = true;
    },
    message(peer, message) {
      if (over || !holds()) return peer.leave("this server does not lead any more");
      const { member, role } = peer.hello!;
      switch (message.t) {
        case "ping":
          if (role === "observer") return peer.send({ t: "pong", id: message.id, now: now() });
          return engine.handle(member, message, now());
        case "query":
          return ask(peer, message);
        case "report":
          member_(role);
          changed = true;
          engine.charge(member, message.paths, now());
          governor.observe(message.paths, message.replies, now());
          return parts.observe?.(member, message.paths, message.replies, now());
        case "lanes":
          member_(role);
          return parts.lanes?.(member, message.lanes, now());
        default:
          member_(role);
          changed = true;
          return engine.handle(member, message, now());
      }
    },
    gone(peer) {
      const hello = peer.hello;
      asking.delete(peer);
      if (over || hello === null) return;
      if (observers.delete(peer)) return parts.left?.(hello.member, now());
      if (members.get(hello.member) !== peer) return;
      members.delete(hello.member);
      part(hello.member);
      turn();
    },
    turn,
    memory,
    end(text) {
      over = true;
      timer?.cancel();
      saving.stop().catch((err: unknown) => log.debug({ err }, "the last save before the end of the lead"));
      for (const peer of [...members.values(), ...observers]) peer.leave(text);
      parts.close?.();
    },
  };
  parts.begun?.();
  const saving = openSaving({
    everyMs: deps.saveMs,
    clock,
    log,
    take: () => (over ? null : memory()),
    save: deps.save,
    saved() {
      engine.saved(now());
      turn();
    },
    refused: deps.refused,
  });
  turn();
  return reign;

  function memory(): Memory {
    return {
      v: 1,
      at: now(),
      members: [...members.keys()],
      engine: engine.snapshot(now()),
      governor: governor.snapshot(),
    };
  }

  function turn(): void {
    if (over) return;
    const soon = engine.wantsSave();
    if (changed || soon) saving.touch(soon);
    changed = false;
    plan();
  }

  function part(member: string): void {
    changed = true;
    engine.leave(member, now());
    parts.left?.(member, now());
  }

  function member_(role: Hello["role"]): void {
    if (role !== "member") throw new BadMessage("an observer only asks");
  }

  function ask(peer: Peer, { id, what, args }: Extract<ClientMessage, { t: "query" }>): void {
    const open = (asking.get(peer) ?? 0) + 1;
    if (open > MOST_QUERIES) throw new BadMessage(`more than ${MOST_QUERIES} queries at once`);
    asking.set(peer, open);
    const answer = (data: unknown): void => {
      const now_ = asking.get(peer);
      if (now_ === undefined) return;
      asking.set(peer, now_ - 1);
      const line = JSON.stringify({ t: "answer", id, data: data ?? null });
      peer.send(
        line.length < MOST_LINE / 2 || Buffer.byteLength(line) < MOST_LINE
          ? { t: "answer", id, data: data ?? null }
          : { t: "answer", id, data: { error: "the answer is too long for one line: ask for less" } },
      );
    };
    const refuse = (err: unknown): void => {
      log.warn({ err, what, member: peer.hello?.member }, "a query cannot be answered");
      answer({ error: err instanceof Error ? err.message : "it cannot be answered" });
    };
    // Promise.try: an answer may come at once, later, or as an error of either kind.
    Promise.try(() => parts.queries(what, args, now()))
      .then(answer)
      .catch(refuse);
  }

  function plan(): void {
    if (over) return;
    const at = Math.min(engine.nextAt(), governor.nextAt());
    // A later time is found when the timer fires: most things that are waited for do not happen.
    if (at >= plannedFor) return;
    timer?.cancel();
    plannedFor = at;
    timer = clock.after(Math.min(Math.max(at - now(), 1), FARTHEST_MS), tick);
  }

  function tick(): void {
    plannedFor = Infinity;
    if (over || !holds()) return;
    const at = now();
    if (governor.nextAt() <= at) governor.tick(at);
    if (engine.nextAt() <= at) {
      engine.tick(at);
      changed = true;
    }
    turn();
  }
}
