/**
 * Connections between machines and the server as TCP has them: in order, delayed at random, held back while a partition lasts, and given up
 * by whichever end hears nothing for too long. What was sent before an end gave up may still arrive at the other one.
 */
import type { Timer } from "../../src/base/clock.ts";
import type { Link, LinkEvents } from "../../src/quota/link-contract.ts";
import type { ClientMessage, ServerMessage } from "../../src/quota/messages.ts";
import type { World } from "./world.ts";

export type Hello = Extract<ClientMessage, { t: "hello" }>;

/** The server's end of a connection. */
export interface Peer {
  readonly member: string;
  send(message: ServerMessage): void;
  /** Closes: the client hears it when the wire lets it. */
  close(): void;
}

/** What a server does with connections. */
export interface ServerEnd {
  readonly up: boolean;
  hello(peer: Peer, hello: Hello): void;
  message(peer: Peer, message: ClientMessage): void;
  gone(peer: Peer): void;
}

export interface Wire {
  /** Nothing passes from / to the machine any more, until `heal`: then what was held back arrives. */
  cut(up: boolean, down: boolean): void;
  heal(): void;
  link(member: string): Link;
  /** The machine has died. `silently`: nobody tells the server. */
  crash(silently: boolean): void;
}

/** A mutation of what passes; null: it is lost. For `--break`. */
export interface Tamper {
  toServer(message: ClientMessage): readonly ClientMessage[];
  toClient(message: ServerMessage): readonly ServerMessage[];
}

export const SILENCE_MS = 6000;
const CLIENT_SILENCE_MS = 4000;
const LOOK_MS = 500;
const GREETING_MS = 3000;

interface Half {
  readonly queue: (() => void)[];
  /** In order: nothing arrives before what was sent before it. */
  lastAt: number;
}

export function openWire(
  world: World,
  server: () => ServerEnd,
  options: {
    tamper: Tamper;
    heard: (member: string, message: ServerMessage) => void;
    said: (member: string, message: ClientMessage) => void;
  },
): Wire {
  const { tamper } = options;
  let endAll: (silently: boolean) => void = () => {};

  const is = { cutUp: false, cutDown: false };
  const parked: (() => void)[] = [];

  const wire: Wire = {
    cut(up, down) {
      is.cutUp ||= up;
      is.cutDown ||= down;
    },
    heal() {
      is.cutUp = is.cutDown = false;
      for (const deliver of parked.splice(0)) world.after(1, deliver);
    },
    link,
    crash: (silently) => endAll(silently),
  };

  function delay(): number {
    return world.chance(2) ? 100 + world.draw(1500) : 1 + world.draw(30);
  }

  /** Sends `fn` down a half; it waits while the half is cut. */
  function pass(half: Half, cut: () => boolean, fn: () => void): void {
    half.queue.push(fn);
    const at = Math.max(world.now + delay(), half.lastAt);
    half.lastAt = at;
    const deliver = (): void => {
      if (cut()) return void parked.push(deliver);
      half.queue.shift()?.();
    };
    world.after(at - world.now, deliver);
  }

  function link(member: string): Link {
    let events: LinkEvents | null = null;
    let talk: { send(m: ClientMessage): void; end(why: string, tell: boolean): void } | null = null;
    let closed = false;
    let retry: Timer | null = null;

    function connect(): void {
      if (closed || events === null) return;
      const to = server();
      const told = events;
      const up: Half = { queue: [], lastAt: 0 };
      const down: Half = { queue: [], lastAt: 0 };
      let clientOpen = true;
      let serverOpen = false;
      let greeted = false;
      let isUp = false;
      let clientHeard = world.now;
      let serverHeard = world.now;

      const endClient = (why: string, tell: boolean): void => {
        if (!clientOpen) return;
        clientOpen = false;
        talk = null;
        pass(
          up,
          () => is.cutUp,
          () => endServer(false),
        );
        if (tell && greeted) told.down(why);
        retry = world.after(50 + world.draw(900), connect);
      };
      const endServer = (tell: boolean): void => {
        if (!serverOpen) return;
        serverOpen = false;
        to.gone(peer);
        if (tell)
          pass(
            down,
            () => is.cutDown,
            () => endClient("closed by the server", true),
          );
      };
      const peer: Peer = {
        member,
        send(message) {
          if (!serverOpen) return;
          for (const each of tamper.toClient(JSON.parse(JSON.stringify(message)) as ServerMessage))
            pass(
              down,
              () => is.cutDown,
              () => {
                if (!clientOpen) return;
                clientHeard = world.now;
                options.heard(member, each);
                if (each.t === "welcome") {
                  isUp = true;
                  told.up(each);
                } else told.message(each);
              },
            );
        },
        close: () => endServer(true),
      };
      const toServer = (message: ClientMessage): void => {
        for (const each of tamper.toServer(JSON.parse(JSON.stringify(message)) as ClientMessage))
          pass(
            up,
            () => is.cutUp,
            () => {
              if (!to.up)
                return pass(
                  down,
                  () => is.cutDown,
                  () => endClient("reset", true),
                );
              serverHeard = world.now;
              if (each.t === "hello") {
                serverOpen = true;
                to.hello(peer, each);
              } else if (serverOpen) to.message(peer, each);
            },
          );
      };
      const watch = (): void => {
        if (serverOpen && world.now - serverHeard > SILENCE_MS) endServer(true);
        if (serverOpen && !to.up) serverOpen = false;
        if (clientOpen && !isUp && world.now - clientHeard > GREETING_MS) endClient("no greeting", true);
        if (clientOpen && isUp && world.now - clientHeard > CLIENT_SILENCE_MS) endClient("silence", true);
        if (clientOpen && isUp) toServer({ t: "ping", id: Number.MAX_SAFE_INTEGER });
        if (clientOpen || serverOpen) world.after(LOOK_MS, watch);
      };
      endAll = (silently) => {
        clientOpen = false;
        closed = true;
        if (!silently)
          pass(
            up,
            () => is.cutUp,
            () => endServer(false),
          );
      };
      const say = (message: ClientMessage): void => {
        options.said(member, message);
        toServer(message);
      };
      talk = { send: say, end: endClient };
      // The answer of the server's TCP: one round trip before anything is said.
      world.after(2 * delay(), () => {
        if (!clientOpen || closed) return;
        if (is.cutUp || is.cutDown || !server().up) {
          clientOpen = false;
          talk = null;
          retry = world.after(100 + world.draw(900), connect);
          return;
        }
        greeted = true;
        clientHeard = serverHeard = world.now;
        const { process, held } = told.held();
        toServer({ t: "hello", v: 1, member, role: "member", nonce: "", proof: "", process, held });
        world.after(LOOK_MS, watch);
      });
    }

    return {
      open(told) {
        events = told;
        world.after(world.draw(200), connect);
      },
      send: (message) => talk?.send(message),
      cut: (why) => talk?.end(why, true),
      close() {
        closed = true;
        retry?.cancel();
      },
    };
  }

  return wire;
}
