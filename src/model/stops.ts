/**
 * What the operator says of links after they were sent: the list of those that are stopped, lead elsewhere or end at a time. Web signs it, redirection
 * servers pull it, verify it, keep it on disk, and work without it; what a list says goes through `targetOf` like every other URL.
 *
 *     {"at": epoch ms, "stops": [[delivery, link | -1 for all of them, disabled 0|1, expiresAt ms | 0, url]], "mac": "<hex>"}
 *     mac = HMAC-SHA256(first token key, "postilion stops\0" ‖ JSON of [at, stops])
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { targetOf } from "./link.ts";
import type { TokenKey, TokenKeyRing } from "./token.ts";

export interface LinkStop {
  readonly delivery: number;
  /** Number of the link in the delivery; ALL_LINKS: all of them. */
  readonly link: number;
  readonly disabled: boolean;
  /** Epoch ms; 0: never. */
  readonly expiresAt: number;
  /** Where to go instead; '': nowhere, a page says so. Alone, without `disabled` and `expiresAt`, it holds at once. */
  readonly url: string;
}

export const ALL_LINKS = -1;

export interface StopsList {
  /** Epoch ms; of two lists the later one holds. */
  readonly at: number;
  readonly stops: readonly LinkStop[];
}

type Row = readonly [delivery: number, link: number, disabled: 0 | 1, expiresAt: number, url: string];

const LABEL = "postilion stops\0";

/** The list as web gives it out. */
export function signStops(key: TokenKey, { at, stops }: StopsList): string {
  const rows = stops.map((s): Row => [s.delivery, s.link, s.disabled ? 1 : 0, s.expiresAt, s.url]);
  return JSON.stringify({ at, stops: rows, mac: mac(key, at, rows).toString("hex") });
}

/** A genuine list, or why it is none. */
export function verifyStops(ring: TokenKeyRing, text: string): StopsList | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return "not JSON";
  }
  const { at, stops, mac: said } = (parsed ?? {}) as { at?: unknown; stops?: unknown; mac?: unknown };
  if (typeof said !== "string" || !/^[0-9a-f]{64}$/.test(said)) return "not signed";
  if (!isCount(at) || !Array.isArray(stops) || !stops.every(isRow)) return "not a list of stops";
  const given = Buffer.from(said, "hex");
  // Parsing and writing again gives the text that was signed: numbers and strings have one spelling in JSON.stringify.
  if (!ring.some((key) => timingSafeEqual(mac(key, at, stops), given))) return "not signed with a key of ours";
  return {
    at,
    stops: stops.map(([delivery, link, disabled, expiresAt, url]) => ({
      delivery,
      link,
      disabled: disabled === 1,
      expiresAt,
      url,
    })),
  };
}

/** Where a link leads: `go` where it says; `elsewhere`; or nowhere any more, `gone`. */
export type Direction =
  | { readonly kind: "go" | "gone" }
  | { readonly kind: "elsewhere"; /** As `targetOf` gives it. */ readonly url: string };

const GO: Direction = { kind: "go" };
const GONE: Direction = { kind: "gone" };

export interface Stops {
  readonly at: number;
  readonly count: number;
  /**
   * In this order: a delivery that is disabled or has expired, then what is said of the link, then a delivery that leads elsewhere. A list with
   * an URL nobody may be sent to says `gone`.
   */
  direction(delivery: number, link: number, now: number): Direction;
  /** Whether all links of a delivery are disabled or have expired. */
  isOver(delivery: number, now: number): boolean;
}

/** The list, ready to be asked at each click. */
export function openStops({ at, stops }: StopsList): Stops {
  const deliveries = new Map<number, Map<number, LinkStop>>();
  for (const stop of stops) {
    const links = deliveries.get(stop.delivery) ?? new Map<number, LinkStop>();
    deliveries.set(stop.delivery, links.set(stop.link, stop));
  }
  return {
    at,
    count: stops.length,
    direction(delivery, link, now) {
      const links = deliveries.get(delivery);
      if (links === undefined) return GO;
      const whole = links.get(ALL_LINKS);
      if (whole !== undefined && over(whole, now)) return instead(whole.url);
      for (const stop of [links.get(link), whole]) {
        if (stop === undefined) continue;
        if (over(stop, now) || (stop.expiresAt === 0 && stop.url !== "")) return instead(stop.url);
      }
      return GO;
    },
    isOver(delivery, now) {
      const whole = deliveries.get(delivery)?.get(ALL_LINKS);
      return whole !== undefined && over(whole, now);
    },
  };
}

function over({ disabled, expiresAt }: LinkStop, now: number): boolean {
  return disabled || (expiresAt > 0 && now >= expiresAt);
}

function instead(url: string): Direction {
  const target = url === "" ? { refused: "" } : targetOf(url);
  return "url" in target ? { kind: "elsewhere", url: target.url } : GONE;
}

function isRow(value: unknown): value is Row {
  if (!Array.isArray(value) || value.length !== 5) return false;
  const [delivery, link, disabled, expiresAt, url] = value as unknown[];
  return (
    isCount(delivery) &&
    (link === ALL_LINKS || isCount(link)) &&
    (disabled === 0 || disabled === 1) &&
    isCount(expiresAt) &&
    typeof url === "string"
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function mac(key: TokenKey, at: number, rows: readonly Row[]): Buffer {
  return createHmac("sha256", key.secret)
    .update(LABEL)
    .update(JSON.stringify([at, rows]))
    .digest();
}
