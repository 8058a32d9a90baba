/**
 * The rest of a lane whose site gave no session: 4 s doubling to 5 min (spec modules.md §4.4 initialDelaySec), until one is had again.
 */
import type { Clock } from "../base/clock.ts";
import type { Hold } from "../model/traffic.ts";
import type { Outcome } from "../model/outcome.ts";
import { harmless } from "../model/harmless.ts";
import { TLS_POLICY_STATUS } from "./tls-policy/contract.ts";

const REST_MS = 4000;
const REST_MOST_MS = 300_000;

export interface Rest {
  /** Rests now. */
  readonly on: boolean;
  /** How long still, ms. */
  readonly leftMs: number;
  /** Begins; what the messages that wait are told. */
  begin(why: Outcome): Outcome;
  /** A session was had. */
  over(): void;
  hold(): Hold | null;
}

export function openRest(clock: Clock): Rest {
  let until = 0;
  let failures = 0;
  let since = 0;
  let text = "";
  let byPolicy = false;
  const leftMs = (): number => Math.max(0, until - clock.monotonic());
  return {
    get on() {
      return until > 0 && leftMs() > 0;
    },
    get leftMs() {
      return leftMs();
    },
    begin(why) {
      if (failures === 0) since = clock.now();
      until = clock.monotonic() + Math.min(REST_MOST_MS, REST_MS * 2 ** failures++);
      text = harmless(why.text);
      byPolicy = why.enhanced === TLS_POLICY_STATUS;
      // Whatever a server says to a connection is said to us, not of the message.
      return why.kind === "unreachable" ? why : { ...why, kind: "unreachable" };
    },
    over() {
      until = 0;
      failures = 0;
    },
    hold: () => (leftMs() === 0 ? null : holdOf()),
  };

  function holdOf(): Hold {
    return {
      kind: byPolicy ? "tls-policy" : "unreachable",
      by: byPolicy ? "the domain's TLS policy" : "site",
      text: `no exchanger gives a session: ${text}`,
      since,
      until: clock.now() + leftMs(),
    };
  }
}
