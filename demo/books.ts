/** Reads the two accounts that the judgement needs: the appliance's ledger through its API, and what the exchangers wrote down. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Api } from "./api.ts";
import type { Booked } from "./check.ts";

interface MessagePage {
  readonly messages: readonly (Booked & { readonly address: string })[];
  readonly nextCursor: number | string | null;
}

const PAGE = 1000;

/** Every message of a delivery by address. */
export async function readLedger(api: Api, deliveryId: number): Promise<Map<string, Booked>> {
  const ledger = new Map<string, Booked>();
  for (let cursor: number | string | null = 0; cursor !== null;) {
    const path = `/v1/deliveries/${deliveryId}/messages?limit=${PAGE}&cursor=${cursor}`;
    const page: MessagePage = await api.call<MessagePage>("GET", path);
    for (const { address, id, status, reason, attempts } of page.messages) {
      ledger.set(address.toLowerCase(), { id, status, reason, attempts });
    }
    cursor = page.nextCursor;
  }
  return ledger;
}

/** Lines `recipient TAB Message-ID TAB times`: by recipient, how often each of its Message-IDs came. */
export async function readArrivals(file: string): Promise<Map<string, number[]>> {
  const arrivals = new Map<string, number[]>();
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const [to = "", , times = "0"] = line.split("\t");
    const known = arrivals.get(to.toLowerCase());
    if (known === undefined) arrivals.set(to.toLowerCase(), [Number(times)]);
    else known.push(Number(times));
  }
  return arrivals;
}

/** Those of the addresses whose message the ledger has had in doubt: its events say so. */
export async function readDoubted(
  api: Api,
  ledger: ReadonlyMap<string, Booked>,
  addresses: Iterable<string>,
): Promise<Set<string>> {
  const doubted = new Set<string>();
  for (const address of addresses) {
    const booked = ledger.get(address);
    if (booked === undefined) continue;
    const { events } = await api.call<{ events: readonly { type: string }[] }>("GET", `/v1/messages/${booked.id}`);
    if (events.some(({ type }) => type === "in-doubt")) doubted.add(address);
  }
  return doubted;
}
