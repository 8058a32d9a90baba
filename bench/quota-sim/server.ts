/**
 * The statistics server of the simulation: the real engine on the server's clock, snapshots stored with a delay, crashes in between. Its
 * governor only knows suspensions, and back-offs to fewer connections.
 */
import { ALL_AS_IS, lowered } from "../../src/model/back-off.ts";
import type { MxRules } from "../../src/model/mx-rules.ts";
import type { BackOffLimits } from "../../src/model/reply-rules.ts";
import type { Hold, Limits } from "../../src/model/traffic.ts";
import type { Engine, Governed, Governor, Measure } from "../../src/stat/contract.ts";
import { openEngine } from "../../src/stat/engine.ts";
import type { Curb } from "../../src/quota/messages.ts";
import { SILENCE_MS, type Peer, type ServerEnd } from "./wire.ts";
import type { World } from "./world.ts";

export const HORIZON_MS = 180_000;
const SNAPSHOT_MS = 5000;
const LEAST_SAVE_MS = 100;
/** Messages an hour that went before a back-off. */
const BASE = 600;
const TENTH = { share: 0.1, value: 0 };
const SLOW = { kind: "back-off", by: "replies", since: 0, until: 0 } as const;

export interface SimServer {
  readonly end: ServerEnd;
  readonly up: boolean;
  /** The server's clock, whether it runs or not: epoch ms. */
  now(): number;
  rules: MxRules;
  reload(rules: MxRules): void;
  crash(): void;
  start(): void;
  suspend(site: string, publicId: number, on: boolean): void;
  /** A back-off to so many connections; 0 ends it. */
  slow(site: string, publicId: number, connections: number): void;
  engine(): Engine | null;
}

/** `forgetful`: the mutation that restores nothing. */
export function openServer(
  world: World,
  options: { rules: MxRules; startAt: number; drift: number; forgetful: boolean; onError: (error: unknown) => void },
): SimServer {
  const { startAt, drift } = options;
  const now = (): number => Math.floor(startAt + world.now * (1 + drift));
  const suspended = new Map<string, Hold>();
  const slowed = new Map<string, { readonly second: BackOffLimits; readonly known: WeakMap<Limits, Limits> }>();
  let stored: string | null = null;
  let reign: Reign | null = null;

  interface Reign {
    readonly engine: Engine;
    readonly peers: Map<string, Peer>;
    up: boolean;
    saving: boolean;
    savedAt: number;
    tickAt: number;
  }

  const governor = (): Governor => ({
    govern(site, path, limits): Governed {
      const key = `${site}|${path.publicId}`;
      const hold = suspended.get(key) ?? null;
      const slow = slowed.get(key);
      const messages = Number.POSITIVE_INFINITY;
      if (slow === undefined) return { limits, hold, connections: messages, messages };
      const tight = slow.known.get(limits) ?? lowered(limits, slow.second, BASE);
      slow.known.set(limits, tight);
      return { limits: tight, hold, connections: tight.connections, messages };
    },
    granted() {},
    observe() {},
    nextAt: () => Number.POSITIVE_INFINITY,
    tick() {},
    onChange() {},
    snapshot: () => null,
    restore() {},
    curbs: (): Curb[] => [
      ...[...suspended].map(([key, hold]) => curbOf(key, hold, null)),
      ...[...slowed].map(([key, { second }]) => curbOf(key, { ...SLOW, text: "slower" }, second)),
    ],
    list: (): Measure[] =>
      [...suspended].map(([key, hold]) => {
        const [site = "", publicId] = key.split("|");
        return {
          kind: "suspension",
          site,
          publicId: Number(publicId),
          stage: "stop",
          by: hold.by,
          reason: hold.text,
          since: 0,
          until: 0,
        };
      }),
  });

  /** After everything that happened: saves when somebody waits for it, ticks when something is due. */
  function follow(at: Reign): void {
    if (!at.up) return;
    if (!at.saving && at.engine.wantsSave() && world.now - at.savedAt >= LEAST_SAVE_MS) save(at);
    const next = at.engine.nextAt();
    if (next >= at.tickAt || !Number.isFinite(next)) return;
    at.tickAt = next;
    world.after(Math.max(0, (next - startAt) / (1 + drift) - world.now) + 1 + world.draw(3), () => {
      if (!at.up || at.tickAt !== next) return;
      at.tickAt = Number.POSITIVE_INFINITY;
      act(at, () => at.engine.tick(now()));
    });
  }

  function act(at: Reign, fn: () => void): void {
    if (!at.up) return;
    try {
      fn();
    } catch (error) {
      options.onError(error);
    }
    follow(at);
  }

  function save(at: Reign): void {
    at.saving = true;
    at.savedAt = world.now;
    const body = JSON.stringify(at.engine.snapshot(now()));
    world.after(3 + world.draw(40), () => {
      if (!at.up) return;
      stored = body;
      world.after(world.draw(10), () => {
        at.saving = false;
        act(at, () => at.engine.saved(now()));
      });
    });
  }

  const end: ServerEnd = {
    get up() {
      return reign !== null;
    },
    hello: () => {},
    message: () => {},
    gone: () => {},
  };

  function endOf(at: Reign): ServerEnd {
    return {
      get up() {
        return at.up;
      },
      hello(peer, hello) {
        act(at, () => {
          at.peers.get(peer.member)?.close();
          at.peers.set(peer.member, peer);
          at.engine.join(peer.member, hello, now(), (message) => peer.send(message));
        });
      },
      message(peer, message) {
        if (at.peers.get(peer.member) !== peer) return;
        act(at, () => {
          if (message.t === "report") at.engine.charge(peer.member, message.paths, now());
          else if (message.t !== "lanes" && message.t !== "query") at.engine.handle(peer.member, message, now());
        });
      },
      gone(peer) {
        if (at.peers.get(peer.member) !== peer) return;
        at.peers.delete(peer.member);
        act(at, () => at.engine.leave(peer.member, now()));
      },
    };
  }

  let current: ServerEnd = end;

  const server: SimServer = {
    get end() {
      return current;
    },
    get up() {
      return reign !== null;
    },
    now,
    rules: options.rules,
    reload(rules) {
      server.rules = rules;
      if (reign !== null) act(reign, () => reign?.engine.setRules(rules, now()));
    },
    crash() {
      if (reign !== null) reign.up = false;
      reign = null;
    },
    start() {
      const engine = openEngine({
        governor: governor(),
        rules: server.rules,
        horizonMs: HORIZON_MS,
        silenceMs: SILENCE_MS,
      });
      if (stored !== null && !options.forgetful) engine.restore(JSON.parse(stored), now());
      const begun: Reign = {
        engine,
        peers: new Map(),
        up: true,
        saving: false,
        savedAt: 0,
        tickAt: Number.POSITIVE_INFINITY,
      };
      reign = begun;
      current = endOf(begun);
      const regularly = (): void => {
        if (!begun.up) return;
        if (!begun.saving) save(begun);
        world.after(SNAPSHOT_MS, regularly);
      };
      regularly();
      const poll = (): void => {
        if (!begun.up) return;
        follow(begun);
        world.after(LEAST_SAVE_MS, poll);
      };
      poll();
    },
    suspend(site, publicId, on) {
      const key = `${site}|${publicId}`;
      if (on) suspended.set(key, { kind: "suspension", by: "operator", text: "suspended", since: 0, until: 0 });
      else suspended.delete(key);
      if (reign !== null) act(reign, () => reign?.engine.reconsider({ site, publicId }, now()));
    },
    slow(site, publicId, connections) {
      const key = `${site}|${publicId}`;
      const second = { ...ALL_AS_IS, connections: { share: 1, value: connections }, messagesPerHour: TENTH };
      if (connections > 0) slowed.set(key, { second, known: new WeakMap() });
      else slowed.delete(key);
      if (reign !== null) act(reign, () => reign?.engine.reconsider({ site, publicId }, now()));
    },
    engine: () => reign?.engine ?? null,
  };
  return server;
}

function curbOf(key: string, hold: Hold, limits: BackOffLimits | null): Curb {
  const [site = "", publicId] = key.split("|");
  const id = `${limits === null ? "stop" : "slow"} ${key}`;
  return { id, site, exact: true, publicId: Number(publicId), from: 0, until: 0, hold, limits, base: BASE };
}
