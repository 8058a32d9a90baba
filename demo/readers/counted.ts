/** What the appliance has counted of the readers, asked for through its API as an operator would: every hit, the sums, who is suppressed. */
import { sleep } from "../../src/base/clock.ts";
import type { Api } from "../api.ts";
import type { Kind } from "./made.ts";

export interface CountedHit {
  readonly messageId: number | null;
  readonly type: Kind | "page" | "transaction";
  readonly link: number | null;
  readonly class: "person" | "proxy" | "prefetch" | "scanner";
  readonly uncounted: string;
  readonly web: { readonly tag: string } | null;
}

export interface Sums {
  readonly totalRecipientOpen: number;
  readonly totalRecipientClick: number;
  readonly mirrorPage: number;
  readonly optOut: number;
}

export interface Counted {
  readonly hits: readonly CountedHit[];
  readonly all: Sums;
  readonly people: Sums;
  /** Every address that gets no mail any more. */
  readonly suppressed: ReadonlySet<string>;
}

const PAGE = 10_000;

/** True when a hit with this tag has been counted: then all that the same server wrote down before it has been too. */
export async function hasCounted(api: Api, tag: string, withinMs: number): Promise<boolean> {
  const until = Date.now() + withinMs;
  for (let cursor = 0; ;) {
    const { lines, next } = await api.lines<CountedHit>(`/v1/events?type=page&limit=${PAGE}&cursor=${cursor}`);
    if (lines.some(({ web }) => web?.tag === tag)) return true;
    if (Date.now() > until) return false;
    cursor = next;
    await sleep(200);
  }
}

export async function readCounted(api: Api, deliveryId: number): Promise<Counted> {
  const hits: CountedHit[] = [];
  for (let cursor = 0; ;) {
    const { lines, next } = await api.lines<CountedHit>(
      `/v1/events?delivery=${deliveryId}&limit=${PAGE}&cursor=${cursor}`,
    );
    hits.push(...lines);
    if (lines.length < PAGE) break;
    cursor = next;
  }
  const { all, people } = await api.call<{ all: Sums; people: Sums }>("GET", `/v1/deliveries/${deliveryId}/reactions`);
  return { hits, all, people, suppressed: await readSuppressed(api) };
}

interface SuppressionPage {
  readonly suppressions: readonly { readonly address: string }[];
  readonly nextCursor: string | null;
}

async function readSuppressed(api: Api): Promise<Set<string>> {
  const suppressed = new Set<string>();
  for (let cursor: string | null = ""; cursor !== null;) {
    const page: SuppressionPage = await api.call<SuppressionPage>(
      "GET",
      `/v1/suppressions?limit=1000${cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    for (const { address } of page.suppressions) suppressed.add(address);
    cursor = page.nextCursor;
  }
  return suppressed;
}
