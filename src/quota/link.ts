/**
 * The link of a member over TCP (quota/link-contract.ts): finds the server that leads among all addresses, keeps the connection alive, and
 * comes back after each loss.
 *
 * The next address is tried at once; when none of them would have it, it waits (doubling to a second, with jitter: what one server lost
 * must not come back to the next in one wave). A server of which nothing is heard for DEAD_MS, pings notwithstanding, is dead, however open
 * the connection looks.
 */
import { openBackoff } from "../base/backoff.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Link, LinkEvents } from "./link-contract.ts";
import { type Address, addressOf } from "./link/address.ts";
import { type Ending, type LinkTls, openTalk, type Talk } from "./link/talk.ts";
import type { ClientMessage } from "./messages.ts";

export interface TcpLinkOptions {
  /** host:port of each statistics server. */
  readonly addresses: readonly string[];
  readonly secret: Buffer;
  /** `machine/slot`. */
  readonly member: string;
  readonly tls: LinkTls | null;
  readonly clock: Clock;
  readonly log: Log;
  /** 0…1; for tests. */
  readonly random?: () => number;
}

const PING_MS = 1000;
/** Less than a lease of the leader: a server that is frozen is left before another begins. */
const DEAD_MS = 4000;
const FIRST_MS = 50;
const MOST_MS = 1000;
/** A wrong secret or certificate does not get better in a second. */
const REFUSED_MS = 5000;
/** Up for so long, it was a good one: the waiting starts over. */
const GOOD_MS = 5000;
/** The link's own; those of the client count from 0. */
const PING_ID = Number.MAX_SAFE_INTEGER;

/** Throws RangeError for an address that is none. */
export function openTcpLink(options: TcpLinkOptions): Link {
  const { clock, log, random = Math.random } = options;
  const addresses = options.addresses.map(known);
  const backoff = openBackoff({ firstMs: FIRST_MS, maxMs: MOST_MS, random });
  let events: LinkEvents | null = null;
  let talk: Talk | null = null;
  let up = false;
  let upAt = 0;
  let heardAt = 0;
  let next = 0;
  let failures = 0;
  let said = "";
  let timer: Timer | null = null;
  let closed = false;

  function connect(): void {
    const address = addresses[next % addresses.length]!;
    const name = `${address.host}:${address.port}`;
    let greeted = false;
    talk = openTalk(
      { ...options, role: "member", address },
      {
        held() {
          greeted = true;
          return events!.held();
        },
        up(welcome) {
          if (closed) return;
          up = true;
          upAt = heardAt = clock.monotonic();
          said = "";
          log.info({ server: name }, "connected to the statistics server");
          timer = clock.after(PING_MS, watch);
          events!.up(welcome);
        },
        message(message) {
          heardAt = clock.monotonic();
          if (closed || (message.t === "pong" && message.id === PING_ID)) return;
          events!.message(message);
        },
        over: (why, ending) => over(name, why, ending, greeted),
      },
    );
  }

  function over(name: string, why: string, ending: Ending, greeted: boolean): void {
    timer?.cancel();
    if (closed) return;
    if (up && clock.monotonic() - upAt >= GOOD_MS) backoff.reset();
    failures = up ? 1 : failures + 1;
    up = false;
    talk = null;
    // Each reason once: an outage of an hour is one line, not thousands.
    if (said !== `${name} ${why}`) log.warn({ server: name, why }, "no connection to the statistics server");
    said = `${name} ${why}`;
    next++;
    const round = failures % addresses.length === 0;
    const wait =
      ending === "refused" ? REFUSED_MS * (0.5 + random() / 2) : round ? backoff.next() : random() * FIRST_MS;
    timer = clock.after(wait, connect);
    if (greeted) events!.down(`${name}: ${why}`);
  }

  function watch(): void {
    if (clock.monotonic() - heardAt > DEAD_MS) return talk?.cut(`nothing was heard for ${DEAD_MS} ms`);
    talk?.send({ t: "ping", id: PING_ID });
    timer = clock.after(PING_MS, watch);
  }

  return {
    open(given) {
      if (events !== null) throw new Error("a link is opened once");
      events = given;
      timer = clock.after(0, connect);
    },
    send(message) {
      if (up) talk?.send(fitted(message));
    },
    cut: (why) => talk?.cut(why),
    close() {
      closed = true;
      timer?.cancel();
      talk?.cut("closed here");
    },
  };
}

function known(text: string): Address {
  const address = addressOf(text);
  if (address === null) throw new RangeError(`${text} is not the address of a statistics server (host:port)`);
  return address;
}

/** A lane is a few hundred octets; what does not fit into a line is left out: statistics are poorer, the connection stays. */
const MOST_LANES = 500;
/** Of a domain with hundreds of addresses the first ones, in order of preference: nobody waits for the rest to be busy. */
const MOST_EXCHANGERS = 64;

function fitted(message: ClientMessage): ClientMessage {
  if (message.t === "acquire" && message.exchangers.length > MOST_EXCHANGERS)
    return { ...message, exchangers: message.exchangers.slice(0, MOST_EXCHANGERS) };
  if (message.t === "lanes" && message.lanes.length > MOST_LANES)
    return { ...message, lanes: message.lanes.slice(0, MOST_LANES) };
  return message;
}
