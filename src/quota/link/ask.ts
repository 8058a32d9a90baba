/**
 * One question to whichever statistics server leads: for web and the command line. Opens a connection, asks, closes. No server is asked
 * twice unless one says that there is no leader yet; then all of them are, until the time is up.
 */
import { type Clock, sleep } from "../../base/clock.ts";
import { Fault } from "../../base/faults.ts";
import { drawNonce } from "../handshake.ts";
import type { QueryName } from "../messages.ts";
import { type Address, addressOf } from "./address.ts";
import { type Ending, type LinkTls, openTalk } from "./talk.ts";

export interface AskOptions {
  readonly addresses: readonly string[];
  readonly secret: Buffer;
  readonly tls: LinkTls | null;
  readonly clock: Clock;
  /** Who asks, for the server's log: `web`, `cli`. */
  readonly name: string;
}

const AGAIN_MS = 200;

/**
 * The answer's data (quota/answers.ts), a Refusal among them. Faults: STAT_UNREACHABLE when none answers in `timeoutMs`, STAT_REFUSED when
 * one does not accept us or we do not accept it. Each says which address failed why.
 */
export async function askStat(
  options: AskOptions,
  what: QueryName,
  args: Readonly<Record<string, unknown>>,
  timeoutMs: number,
): Promise<unknown> {
  const { clock } = options;
  const addresses = options.addresses.map((text) => ({ text, address: addressOf(text) }));
  const endAt = clock.monotonic() + timeoutMs;
  for (;;) {
    const failures: { readonly told: string; readonly ending: Ending }[] = [];
    for (const { text, address } of addresses) {
      const leftMs = endAt - clock.monotonic();
      if (leftMs <= 0) break;
      const result =
        address === null
          ? { why: "not an address (host:port)", ending: "refused" as const }
          : await askOne(options, address, what, args, leftMs);
      if ("data" in result) return result.data;
      failures.push({ told: `${text}: ${result.why}`, ending: result.ending });
    }
    const told = failures.map((failure) => failure.told).join("; ");
    if (failures.some(({ ending }) => ending === "refused")) throw new Fault("STAT_REFUSED", told);
    const again = failures.some(({ ending }) => ending === "left");
    if (!again || clock.monotonic() + AGAIN_MS >= endAt)
      throw new Fault("STAT_UNREACHABLE", told || "no address is given (stat.addresses)");
    await sleep(AGAIN_MS);
  }
}

type One = { readonly data: unknown } | { readonly why: string; readonly ending: Ending };

function askOne(
  { secret, tls, clock, name }: AskOptions,
  address: Address,
  what: QueryName,
  args: Readonly<Record<string, unknown>>,
  timeoutMs: number,
): Promise<One> {
  return new Promise((resolve) => {
    const process = drawNonce();
    const member = `${name}/${process.slice(0, 12)}`;
    let result: One | null = null;
    const talk = openTalk(
      { address, secret, member, role: "observer", tls, clock },
      {
        held: () => ({ process, held: [] }),
        up: () => talk.send({ t: "query", id: 1, what, args }),
        message(message) {
          if (message.t !== "answer") return;
          result = { data: message.data };
          talk.cut("answered");
        },
        over(why, ending) {
          late.cancel();
          resolve(result ?? { why, ending });
        },
      },
    );
    const late = clock.after(timeoutMs, () => talk.cut(`no answer in ${Math.round(timeoutMs)} ms`));
  });
}
