/**
 * One delivery through the public API, as an application server would send it: suppressions, the content, the recipients as a stream,
 * start, and then its progress until it is finished. Who its recipients are, and where each must end, follows from count and seed.
 */
import { sleep } from "../src/base/clock.ts";
import type { Counters, DeliveryState } from "../src/model/delivery.ts";
import { newsletter, recipient } from "../bench/newsletter.ts";
import type { SampleRecipient } from "../bench/newsletter.ts";
import type { Api } from "./api.ts";
import { SENDER } from "./appliance.ts";
import type { Expected } from "./check.ts";
import { fate, recipientDomains } from "./internet/characters.ts";
import { settledOf } from "./progress.ts";

export interface Uploaded {
  readonly accepted: number;
  readonly duplicate: number;
  readonly excluded: number;
  readonly invalid: number;
}

export interface Status {
  readonly state: DeliveryState;
  readonly counters: Counters;
}

/** Recipients who had asked not to be written to. */
const SUPPRESSED = [3, 77, 111, 150, 199] as const;
/** The recipient whose line is sent twice, the second time in capitals. */
const TWICE = 42;
/** Seconds before try 2, 3, …: short, so that a greylisted message does not make the audience wait. */
const RETRY = [1, 2, 3, 4] as const;
const VALIDITY = 900;
/** With nothing settled for so long, something is wrong. */
const STALL_MS = 90_000;

/** Every recipient's address and where it must end. */
export function expectations(count: number, seed: number): Map<string, Expected> {
  const domains = recipientDomains();
  const all = new Map<string, Expected>();
  for (let i = 0; i < count; i++) {
    const { address } = recipient(i, seed, domains);
    const end = fate(address, seed);
    const suppressed = SUPPRESSED.some((index) => index === i);
    if (suppressed) all.set(address, { status: "excluded", reason: "suppressed" });
    else all.set(address, { status: end.status, reason: end.status === "failed" ? end.reason : "" });
  }
  return all;
}

/** Their addresses. */
export async function suppress(api: Api, seed: number): Promise<Set<string>> {
  const domains = recipientDomains();
  const addresses = new Set(SUPPRESSED.map((index) => recipient(index, seed, domains).address));
  for (const address of addresses) {
    await api.call("PUT", `/v1/suppressions/${encodeURIComponent(address)}`, { reason: "asked not to be written to" });
  }
  return addresses;
}

/** The newsletter of the benches, with what a sender's needs besides. */
export function letter(): { subject: string; html: string; text: string } {
  const { subject, html, text } = newsletter();
  const foot = `<p><a href="{{mirrorUrl}}">In your browser</a> <a href="{{unsubscribeUrl}}">Unsubscribe</a></p>\n`;
  return { subject, html: html.replace("</body>", `${foot}</body>`), text };
}

/** What was submitted of a recipient. */
export function variablesOf(address: string, seed: number): SampleRecipient["variables"] {
  const index = Number(/\.(\d+)@/.exec(address)?.[1]);
  return recipient(index, seed, recipientDomains()).variables;
}

/** The new delivery's id. */
export async function create(api: Api): Promise<number> {
  const { id } = await api.call<{ id: number }>("POST", "/v1/deliveries", {
    name: "Demo",
    content: letter(),
    from: { address: `hello@${SENDER.domain}`, name: "The Weekly Café" },
    listUnsubscribe: true,
    tracking: { trap: true },
    retrySchedule: RETRY,
    validity: VALIDITY,
  });
  return id;
}

export function upload(api: Api, id: number, count: number, seed: number): Promise<Uploaded> {
  return api.upload<Uploaded>(`/v1/deliveries/${id}/recipients`, lines(count, seed));
}

function* lines(count: number, seed: number): Generator<string> {
  const domains = recipientDomains();
  for (let i = 0; i < count; i++) {
    const one = recipient(i, seed, domains);
    yield JSON.stringify(one);
    if (i === TWICE) yield JSON.stringify({ ...one, address: one.address.toUpperCase() });
  }
}

/** Resolves when the delivery is finished. Rejects when it ends otherwise, stands still, or the signal aborts. */
export async function follow(
  api: Api,
  id: number,
  show: (counters: Counters) => void,
  signal: AbortSignal,
): Promise<Status> {
  let settled = -1;
  let last = "";
  let movedAt = performance.now();
  for (;;) {
    const status = await api.call<Status>("GET", `/v1/deliveries/${id}`);
    show(status.counters);
    if (status.state === "finished") return status;
    if (status.state !== "sending" && status.state !== "ready") throw new Error(`the delivery is ${status.state}`);
    const stalled = new AbortController();
    const timer = setTimeout(() => stalled.abort(), STALL_MS);
    try {
      for await (const { data } of api.events(
        `/v1/deliveries/${id}/events`,
        AbortSignal.any([signal, stalled.signal]),
      )) {
        const { counters, state } = data as Partial<Status>;
        if (counters !== undefined) {
          show(counters);
          last = JSON.stringify(counters);
          if (settledOf(counters) !== settled) {
            settled = settledOf(counters);
            movedAt = performance.now();
            timer.refresh();
          }
        }
        if (state === "finished") break;
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!stalled.signal.aborted) throw error;
    } finally {
      clearTimeout(timer);
    }
    signal.throwIfAborted();
    // A stream that ends early is opened again, but not in a tight loop.
    await sleep(250);
    if (performance.now() - movedAt > STALL_MS) {
      throw new Error(`nothing has moved for ${STALL_MS / 1000} s: ${last}`);
    }
  }
}
