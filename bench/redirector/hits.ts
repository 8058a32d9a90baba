/**
 * Hits as a large sender sees them, made from a seed: 70 % opens, 25 % clicks, 5 % others; a third of the opens by Apple's proxy, a third by
 * Gmail's; 500 user agents, unevenly used; readers in 50,000 networks; times that go on at 5,000 hits a second.
 */
import { encodeRecord, type TrackingKind } from "../../src/model/tracking.ts";

export interface HitsOptions {
  /** Hits are on messages firstId … firstId + messages - 1 of each delivery. */
  readonly deliveries: readonly { readonly id: number; readonly firstId: number; readonly messages: number }[];
  readonly startAt: number;
  readonly seed: number;
}

const AGENTS = Array.from(
  { length: 500 },
  (_, i) =>
    `Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${100 + (i % 50)}.0.${i}.0 Safari/537.36`,
);
const APPLE = "Mozilla/5.0";
const GMAIL = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
const OTHERS: readonly TrackingKind[] = ["mirror", "unsubscribe", "page", "transaction"];

/** Lines of the tracking log, `count` at each call. */
export function openHits({ deliveries, startAt, seed }: HitsOptions): (count: number) => Buffer {
  let state = seed >>> 0 || 1;
  let made = 0;
  /** xorshift32: 0…1. */
  const random = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const below = (n: number): number => Math.floor(random() * n);

  function line(): string {
    const delivery = deliveries[below(deliveries.length)]!;
    const share = random();
    const kind = share < 0.7 ? "open" : share < 0.95 ? "click" : OTHERS[below(OTHERS.length)]!;
    const by = random();
    const proxied = kind === "open" && by < 2 / 3;
    return encodeRecord({
      at: startAt + Math.floor(made++ / 5),
      kind,
      message: delivery.firstId + below(delivery.messages),
      delivery: kind === "unsubscribe" ? 0 : delivery.id,
      link: kind === "click" ? 1 + below(30) : 0,
      method: kind === "unsubscribe" ? "POST" : "GET",
      hint: kind === "unsubscribe" ? "one-click" : "",
      ip: `${20 + below(200)}.${below(250)}.${below(250)}.0`,
      // Squared: some are used far more than others.
      userAgent: proxied ? (by < 1 / 3 ? APPLE : GMAIL) : AGENTS[Math.floor(random() ** 2 * AGENTS.length)]!,
      visitor: "",
      web:
        kind === "transaction" ? { tag: "order", amount: below(10_000) / 100, articles: 1 + below(3), more: [] } : null,
    });
  }

  return (count) => Buffer.from(Array.from({ length: count }, line).join(""));
}
