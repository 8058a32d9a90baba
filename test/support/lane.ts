/** A lane by itself: sessions that answer when told to, a hand clock, a plain quota, and lists of what the lane did. */
import { type Outcome, outcome } from "../../src/model/outcome.ts";
import type { Held, HeldPart } from "../../src/mta/held.ts";
import { openLane } from "../../src/mta/lane.ts";
import type { Lane, LaneDeps } from "../../src/mta/lane-contract.ts";
import type { Session, WireMessage } from "../../src/mta/session-contract.ts";
import { type HandClock, handClock } from "./clock.ts";
import { openPlainTraffic, type PlainTraffic } from "./plain-traffic.ts";

/** A session that answers when told to. */
interface Script {
  readonly session: Session;
  answer(result?: Outcome): void;
  end(): void;
}

function scripted(change: () => void): Script {
  const waiting: { message: WireMessage; resolve: (o: Outcome) => void }[] = [];
  let settled = 0;
  let ended = false;
  return {
    session: {
      target: {
        mx: "mx",
        ip: "127.0.0.1",
        port: 25,
        localAddress: "",
        publicId: 0,
        helo: "h",
        tls: "disabled",
        auth: null,
      },
      get room() {
        return ended ? 0 : Math.max(0, 1 - waiting.length);
      },
      get inFlight() {
        return waiting.length;
      },
      get settled() {
        return settled;
      },
      get ended() {
        return ended;
      },
      submit: (message) => new Promise((resolve) => waiting.push({ message, resolve })),
      quit() {
        ended = true;
        setImmediate(change);
        return Promise.resolve();
      },
      destroy() {
        ended = true;
        setImmediate(change);
      },
    },
    answer(result = outcome("accepted", "dot", { code: 250 })) {
      settled++;
      waiting.shift()?.resolve(result);
    },
    end() {
      ended = true;
      for (const { resolve } of waiting.splice(0)) resolve(outcome("unreachable", "data"));
      change();
    },
  };
}

export const part = (extra: Partial<HeldPart["delivery"]> = {}): HeldPart => ({
  claim: { id: 1, deliveryId: 1, firstId: 1, lastId: 999, domain: "", epoch: 1, takenOver: false },
  delivery: {
    id: 1,
    priority: 2,
    weight: 1,
    contentHash: "h",
    affinity: "default",
    inDoubt: "retry",
    retry: [300],
    deadline: Number.MAX_SAFE_INTEGER,
    state: "sending",
    content: { hash: "h", json: new SharedArrayBuffer(0) },
    ...extra,
  },
  open: 0,
  notBefore: Infinity,
  dueAt: Infinity,
  lost: false,
});
export const held = (id: number, of: HeldPart): Held => ({
  id,
  part: of,
  address: `p${id}@one.example`,
  domain: "one.example",
  variables: "",
  status: 0,
  attempts: 0,
  moves: 0,
  passed: 0,
});

export interface LaneBench {
  readonly clock: HandClock;
  readonly traffic: PlainTraffic;
  readonly lane: ReturnType<typeof openLane>;
  readonly scripts: Script[];
  readonly finished: { id: number; outcome: Outcome; final: boolean }[];
  /** When the lane said that it takes messages again. */
  readonly relieved: number[];
  readonly given: { id: number; notBefore: number }[];
  /** Of those, what is to be called back. */
  readonly parked: number[];
  turn(): Promise<void>;
}

export function laneBench(
  options: {
    connections?: number;
    perHour?: number;
    perConnection?: number;
    connect?: () => Outcome | null;
    elsewhere?: (held: Held) => boolean;
    render?: (held: Held) => void;
    turned?: (lane: Lane) => void;
    deadOnArrival?: () => boolean;
  } = {},
): LaneBench {
  const clock = handClock();
  const scripts: Script[] = [];
  const finished: LaneBench["finished"] = [];
  const given: LaneBench["given"] = [];
  const relieved: number[] = [];
  const parked: number[] = [];
  const rule = {
    mx: "*",
    connections: options.connections ?? 4,
    messagesPerConnection: options.perConnection ?? 1000,
    messagesPerHour: options.perHour ?? 0,
  };
  const traffic = openPlainTraffic([rule], clock);
  const deps: LaneDeps = {
    clock,
    traffic,
    weights: [64, 8, 4, 1],
    idleMs: 5000,
    capacity: 100,
    urgentCapacity: 100,
    crowded: () => false,
    wants: () => {},
    takeBytes: () => true,
    freeBytes: () => {},
    async connect(key, urgent, { change, granted, failed }, signal) {
      const grant = await traffic.connection(key, [{ mx: "mx", ip: "127.0.0.1" }], urgent, signal);
      if (grant === null || !(await granted(grant, 1))) return null;
      const refusal = options.connect?.() ?? null;
      if (refusal !== null) {
        failed(grant);
        return refusal;
      }
      const script = scripted(change);
      scripts.push(script);
      if (options.deadOnArrival?.() === true) script.end();
      return script.session;
    },
    render(h) {
      options.render?.(h);
      return Promise.resolve({ id: h.id, error: "", from: "b@b.example", bytes: new Uint8Array(2), smtputf8: false });
    },
    finish: (h, result, _lane, _before, final) => void finished.push({ id: h.id, outcome: result, final }),
    giveBack: (h, notBefore) => void given.push({ id: h.id, notBefore }),
    expect: () => {},
    park(h, notBefore) {
      parked.push(h.id);
      given.push({ id: h.id, notBefore });
    },
    elsewhere: (h) => options.elsewhere?.(h) ?? false,
    turned: (of) => options.turned?.(of),
    relieved: () => void relieved.push(clock.now()),
    takePlace: () => true,
    freePlace: () => {},
  };
  const lane = openLane({ site: "s", mx: "mx", publicId: 0, localAddress: "" }, deps);
  traffic.onChange(() => lane.turned());
  return { clock, traffic, lane, scripts, finished, given, parked, relieved, turn: () => clock.advance(0) };
}

/** Answers whatever is asked, for a number of turns. */
export async function run(b: LaneBench, turns = 30): Promise<void> {
  for (let i = 0; i < turns; i++) {
    await b.turn();
    for (const s of b.scripts) if (s.session.inFlight > 0) s.answer();
  }
}
