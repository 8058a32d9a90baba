/**
 * An engine of a few lines for tests of the server around it: so many connections at once for all, the rest waits in turn; messages as
 * asked. It keeps what it was told, so that a test can look.
 */
import type { ClientMessage, ServerMessage } from "../../src/quota/messages.ts";
import type { Engine, Governor } from "../../src/stat/contract.ts";
import type { Limits } from "../../src/model/traffic.ts";

export const LIMITS: Limits = {
  rule: "all",
  scope: "rule",
  connections: 2,
  messagesPerConnection: 100,
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

export interface SmallEngine extends Engine {
  readonly heard: { readonly member: string; readonly message: ClientMessage }[];
  readonly joined: string[];
  readonly left: string[];
  readonly restored: unknown[];
  saves: number;
  wants: boolean;
  /** Of `nextAt`. */
  at: number;
  ticks: number;
}

type Acquire = Extract<ClientMessage, { t: "acquire" }>;

export function smallEngine(connections: number): SmallEngine {
  const members = new Map<string, (message: ServerMessage) => void>();
  let open: { readonly member: string; readonly conn: number }[] = [];
  let waiting: { readonly member: string; readonly message: Acquire }[] = [];
  const serve = (now: number): void => {
    while (open.length < connections) {
      const first = waiting.shift();
      if (first === undefined) return;
      const { member, message } = first;
      open.push({ member, conn: message.id });
      const { id, messages } = message;
      members.get(member)?.({
        t: "grant",
        id,
        conn: id,
        chosen: 0,
        limits: LIMITS,
        messages,
        at: now,
        until: now + 1000,
      });
    }
  };
  const engine: SmallEngine = {
    heard: [],
    joined: [],
    left: [],
    restored: [],
    saves: 0,
    wants: false,
    at: Infinity,
    ticks: 0,
    join(member, hello, now, send) {
      members.set(member, send);
      engine.joined.push(member);
      for (const { conn } of hello.held) open.push({ member, conn });
      send({ t: "welcome", proof: "", now, members: members.size, horizonMs: 300_000, silenceMs: 10_000 });
    },
    leave(member, now) {
      members.delete(member);
      engine.left.push(member);
      open = open.filter((each) => each.member !== member);
      waiting = waiting.filter((each) => each.member !== member);
      serve(now);
    },
    handle(member, message, now) {
      engine.heard.push({ member, message });
      if (message.t === "ping") members.get(member)?.({ t: "pong", id: message.id, now });
      if (message.t === "acquire") {
        if (message.site === "bug") (undefined as unknown as () => void)();
        if (message.site === "refused") throw new Error("nobody sends there");
        waiting.push({ member, message });
      }
      if (message.t === "release") open = open.filter((each) => each.member !== member || each.conn !== message.conn);
      serve(now);
    },
    charge() {},
    setRules() {},
    reconsider() {},
    nextAt: () => engine.at,
    tick() {
      engine.ticks++;
      engine.at = Infinity;
    },
    snapshot: () => ({ open }),
    saved() {
      engine.saves++;
      engine.wants = false;
    },
    wantsSave: () => engine.wants,
    restore(snapshot) {
      engine.restored.push(snapshot);
      if (snapshot === "not to be read") throw new Error("not to be read");
    },
    counters: () => [],
  };
  return engine;
}

/** A governor that lets everything be. */
export function noGovernor(): Governor {
  return {
    govern: (_site, _path, limits) => ({ limits, hold: null, connections: Infinity, messages: Infinity }),
    granted() {},
    observe() {},
    nextAt: () => Infinity,
    tick() {},
    onChange() {},
    snapshot: () => null,
    restore() {},
    list: () => [],
    curbs: () => [],
  };
}
