/**
 * The statistics server: a port, the lease that says whether it leads, and while it leads a reign. Nothing of mail or rules is known here.
 *
 * A server that stands by listens too, and says `leave` with the leader's name to whoever proves to be one of us: so a client that knows
 * several addresses finds the leader by asking, not by waiting for a connection that nobody takes; the operator sees that it lives; and
 * when it takes the lead its port is open already.
 */
import type { Socket } from "node:net";
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { openServerTime } from "../base/server-time.ts";
import { type Lead, type Leadership, openLeadership } from "../db/leadership.ts";
import { CHANNELS, type Sql } from "../db/sql.ts";
import { loadMemory, type Memory, saveMemory } from "./rebuild.ts";
import { openListener, type ServerTls } from "./server/listener.ts";
import type { OpenParts, Parts } from "./server/parts.ts";
import { openPeer, type Peer, type PeerEvents } from "./server/peer.ts";
import { openReign, type Reign } from "./server/reign.ts";
import { openTurns } from "./server/turns.ts";

export interface StatServerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** host:port as clients reach it; '' for `host` and the port it got. */
  readonly address?: string;
  readonly tls?: ServerTls | null;
  readonly secret: Buffer;
  /** null: it leads by itself and remembers nothing (tests, benches). */
  readonly sql: Sql | null;
  readonly leaderMs: number;
  readonly snapshotMs: number;
  /** Default SILENCE_MS. */
  readonly silenceMs?: number;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly open: OpenParts;
}

export interface StatServer {
  readonly port: number;
  readonly address: string;
  /** While it leads; null when it stands by. */
  readonly parts: Parts | null;
  /** Server ms; 0 when it stands by. */
  now(): number;
  /** Who leads, as far as it knows; '' for nobody. */
  readonly leader: string;
  readonly connections: number;
  /** A leader gave up: looks at once whether it can lead. */
  nudge(): void;
  /** Rules or measures were changed from outside of a message: looks again at its timer. */
  changed(): void;
  /** Saves, gives the lead back, says good-bye. Never rejects. */
  close(): Promise<void>;
}

const MOST_CONNECTIONS = 2000;
/** Of them such that have not proven anything yet; one more and the oldest of them goes. */
const MOST_STRANGERS = 100;
/** A member that was not heard of for so long is lost (quota/messages.ts silenceMs). Links ping every second; more than two sweeps. */
export const SILENCE_MS = 10_000;
const SWEEP_MS = 1000;
/** A database whose clock was put back by more than this is not followed: its periods are others. */
const MOST_BACK_MS = 3_600_000;

/** What differs between a reign with a lease and one without. */
interface Rule {
  readonly now: () => number;
  readonly holds: () => boolean;
  readonly save: (memory: Memory) => Promise<boolean>;
  readonly memory: Memory | null;
  /** Whether it is still to begin, when what it needs has been read. */
  readonly still: () => boolean;
}

/** Resolves when it listens; it leads when it leads. Faults: PORT_TAKEN, KEY_UNREADABLE. */
export async function openStatServer(options: StatServerOptions): Promise<StatServer> {
  const { sql, clock, log, secret, silenceMs = SILENCE_MS } = options;
  const turns = openTurns();
  const peers = new Set<Peer>();
  const strangers = new Set<Peer>();
  let reign: Reign | null = null;
  let now: () => number = () => 0;
  let closing = false;
  let leading: Lead | null = null;
  /** What the last reign of this very process left, exact where the saved one is seconds old. */
  let left: { readonly epoch: number; readonly memory: Memory } | null = null;

  const events: PeerEvents = {
    admit(peer, hello) {
      strangers.delete(peer);
      if (reign === null) return peer.leave(standingBy());
      // Who only asks comes and goes with every command and every page.
      const told = { member: hello.member, role: hello.role, peer: peer.address };
      log[hello.role === "member" ? "info" : "debug"](told, "a client is connected");
      guarded(peer, () => reign?.admit(peer, hello));
    },
    message(peer, message) {
      if (reign === null) return peer.leave(standingBy());
      guarded(peer, () => reign?.message(peer, message));
    },
    turn() {
      reign?.turn();
    },
    gone(peer, why) {
      peers.delete(peer);
      strangers.delete(peer);
      const member = peer.hello?.member;
      if (why !== "" && !closing) log.warn({ member, peer: peer.address, why }, "a client is cut off");
      reign?.gone(peer);
    },
  };

  const listener = await openListener({
    host: options.host,
    port: options.port,
    tls: options.tls ?? null,
    mostConnections: MOST_CONNECTIONS,
    onSocket: take,
  });
  const address = options.address || `${options.host}:${listener.port}`;
  let sweep: Timer = clock.after(SWEEP_MS, cutSilent);

  const leadership: Leadership | null =
    sql === null
      ? null
      : openLeadership({
          table: "stat_leader",
          channel: CHANNELS.traffic,
          what: "statistics server",
          sql,
          server: address,
          leaderMs: options.leaderMs,
          clock,
          log,
          random: options.random,
          begin(lead) {
            leading = lead;
            void begin(sql, lead);
          },
          end,
        });
  if (sql === null) {
    const time = openServerTime(clock, clock.now(), clock.monotonic());
    await rule({
      now: time.now,
      holds: () => true,
      save: () => Promise.resolve(true),
      memory: null,
      still: () => !closing,
    });
  }

  return {
    port: listener.port,
    address,
    get parts() {
      return reign?.parts ?? null;
    },
    now: () => now(),
    get leader() {
      return reign === null ? (leadership?.leader ?? "") : address;
    },
    get connections() {
      return peers.size;
    },
    nudge: () => leadership?.nudge(),
    changed: () => reign?.turn(),
    async close() {
      closing = true;
      listener.close();
      sweep.cancel();
      await leadership?.close(async (lead) => {
        if (sql !== null && left?.epoch === lead.epoch) await saveMemory(sql, lead.epoch, left.memory);
      });
      reign?.end("this server is going"); // one without a lease
      reign = null;
      for (const peer of peers) peer.leave("this server is going");
    },
  };

  function take(socket: Socket): void {
    const peer = openPeer(socket, { clock, secret, turns, events });
    peers.add(peer);
    strangers.add(peer);
    if (strangers.size <= MOST_STRANGERS) return;
    for (const oldest of strangers) {
      // Not the newest: whoever fills the port with silent connections keeps nobody out for longer than it takes to say hello.
      oldest.cut();
      break;
    }
  }

  /** A client's mistake has a sentence; anything else is ours, and belongs into the log with all it has. */
  function guarded(peer: Peer, work: () => void): void {
    try {
      work();
    } catch (err) {
      if (!(err instanceof TypeError || err instanceof RangeError || err instanceof ReferenceError)) throw err;
      log.error({ err, member: peer.hello?.member }, "bug: a message could not be handled");
      throw new Error("the server failed at this message", { cause: err });
    }
  }

  async function begin(store: Sql, lead: Lead): Promise<void> {
    const still = (): boolean => leading === lead;
    try {
      const known = left !== null && left.epoch >= lead.since ? left.memory : await loadMemory(store, log);
      const memory = usable(known, lead);
      await rule({
        now: lead.time.now,
        holds: () => leadership?.holds() === true,
        save: (each) => saveMemory(store, lead.epoch, each),
        memory,
        still,
      });
    } catch (err) {
      if (!still()) return;
      log.error({ err, epoch: lead.epoch }, "this statistics server cannot begin to lead");
      leadership?.resign("it could not begin");
    }
  }

  /** Time goes on from where the last leader stopped. */
  function usable(memory: Memory | null, { time }: Lead): Memory | null {
    if (memory === null) return null;
    const behindMs = memory.at - time.now();
    if (behindMs <= MOST_BACK_MS) {
      time.goOnFrom(memory.at);
      return memory;
    }
    log.error({ behindMs }, "the database's clock was put back far: what the last leader counted is not used");
    return null;
  }

  async function rule(kind: Rule): Promise<void> {
    const { memory, still } = kind;
    const begun = async (from: Memory | null): Promise<Reign | null> => {
      const parts = await options.open(kind.now);
      if (!still()) {
        parts.close?.();
        return null;
      }
      try {
        return openReign({
          ...kind,
          memory: from,
          parts,
          silenceMs,
          saveMs: options.snapshotMs,
          refused: () => leadership?.resign("another server saves by now"),
          clock,
          log,
        });
      } catch (error) {
        parts.close?.();
        throw error;
      }
    };
    let made: Reign | null;
    try {
      made = await begun(memory);
    } catch (err) {
      if (memory === null) throw err;
      // Better to begin from what the clients say than not to begin.
      log.error({ err }, "the counters of the last leader cannot be taken up");
      made = await begun(null);
    }
    if (made === null) return;
    now = kind.now;
    reign = made;
  }

  function end(lead: Lead, why: string): void {
    leading = null;
    if (reign === null) return;
    left = { epoch: lead.epoch, memory: reign.memory() };
    const ended = reign;
    reign = null;
    ended.end(closing ? "this server is going" : `this server does not lead any more: ${why}`);
  }

  function standingBy(): string {
    const leader = leadership?.leader ?? "";
    return leader === "" || leader === address ? "no statistics server leads yet" : `the leader is ${leader}`;
  }

  function cutSilent(): void {
    // A sweep early: not a moment later than was promised.
    const since = clock.monotonic() - silenceMs + 2 * SWEEP_MS;
    for (const peer of peers)
      if (peer.hello !== null && peer.heardAt < since) peer.fail("nothing was heard for too long");
    sweep = clock.after(SWEEP_MS, cutSilent);
  }
}
