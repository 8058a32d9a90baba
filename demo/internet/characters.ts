/**
 * The inhabitants of the pretend Internet: one character a kind of mail server, with its domains, its exchangers and how it behaves.
 * What happens to an address is decided by the address and the seed alone (a share of them does not exist, a share is over quota …),
 * so a run can say beforehand where each recipient must end (`fate`) and hold the ledger against it.
 */
import { POLITE } from "./host.ts";
import type { Manners } from "./host.ts";

export interface Exchanger {
  readonly name: string;
  readonly preference: number;
  /** True: nothing listens at its address. */
  readonly dead: boolean;
}

export interface Character {
  readonly name: string;
  /** One line for who watches. */
  readonly says: string;
  readonly domains: readonly string[];
  /** Of `recipient()`'s domains, how many are of this character; so its share of the recipients. */
  readonly weight: number;
  /** How its domains are found in the DNS. */
  readonly dns: "mx" | "address only" | "null mx" | "no such domain";
  readonly exchangers: readonly Exchanger[];
  /** New ones for each exchanger: they remember whom they have seen. */
  readonly manners: (world: World) => Manners;
}

export interface World {
  readonly seed: number;
  /** Epoch ms. */
  readonly now: () => number;
}

/** Where a recipient must end, and for what reason in the ledger's words (model/reason.ts). */
export type Fate =
  | { readonly status: "sent" }
  | { readonly status: "failed"; readonly reason: "user-unknown" | "mailbox-full" | "invalid-domain" };

const UNKNOWN = "550 5.1.1 no such user here";
const QUOTA = "552 5.2.2 mailbox is full";
const QUOTA_NOW = "452 4.2.2 mailbox is full, try again";
const GREYLISTED = "451 4.7.1 greylisted, please come back";

/** Time from the first sight of a recipient until a greylisting host takes mail for it. */
export const GREYLIST_MS = 700;
const SHARES = { unknown: 25, quota: 20, quotaNow: 20, drop: 30 } as const;

export const CHARACTERS: readonly Character[] = [
  character("plain", "takes everything", {
    domains: ["plain.example", "meadow.example", "harbour.example", "orchard.example"],
    weight: 8,
    exchangers: [live("mx1.plain.example", 10), live("mx2.plain.example", 10)],
  }),
  character("chunking", "takes everything, with CHUNKING", {
    domains: ["chunking.example", "valley.example"],
    weight: 4,
    manners: () => ({ ...POLITE, chunking: true }),
  }),
  character("starttls", "takes everything, offers STARTTLS", {
    domains: ["starttls.example", "forest.example"],
    weight: 3,
    manners: () => ({ ...POLITE, chunking: true, starttls: true }),
  }),
  character("greylisting", "asks strangers to come back later", { weight: 2, manners: greylisting }),
  character("unknown users", `does not know ${SHARES.unknown} % of its users`, {
    domains: ["unknown.example"],
    manners: ({ seed }) => ({ ...POLITE, refuse: (to) => (share(to, seed) < SHARES.unknown ? UNKNOWN : "") }),
  }),
  character("mailbox full", "some mailboxes are full for good, some for a while", {
    domains: ["full.example"],
    manners: mailboxFull,
  }),
  character("slow", "takes 40 ms for each answer", { manners: () => ({ ...POLITE, latencyMs: 40 }) }),
  character("limit", "takes two connections at once", { manners: () => ({ ...POLITE, connections: 2 }) }),
  character("drops", `hangs up in the text, once for ${SHARES.drop} % of the messages`, { manners: dropping }),
  character("one of two", "its first exchanger is dead", {
    domains: ["twomx.example"],
    exchangers: [{ name: "dead.twomx.example", preference: 10, dead: true }, live("mx.twomx.example", 20)],
  }),
  character("no MX", "has an address and no MX", {
    domains: ["nomx.example"],
    dns: "address only",
    exchangers: [live("nomx.example", 0)],
  }),
  character("null MX", "says that it takes no mail", { domains: ["nullmx.example"], dns: "null mx", exchangers: [] }),
  character("no such domain", "does not exist", { domains: ["gone.example"], dns: "no such domain", exchangers: [] }),
];

/** The domains for `recipient()`, each as often as its character's weight asks. */
export function recipientDomains(): readonly string[] {
  return CHARACTERS.flatMap(({ domains, weight }) =>
    Array.from({ length: Math.max(weight, domains.length) }, (_, i) => domains[i % domains.length] ?? ""),
  );
}

export function fate(address: string, seed: number): Fate {
  const who = characterOf(address);
  const part = share(address, seed);
  if (who.dns === "null mx" || who.dns === "no such domain") return { status: "failed", reason: "invalid-domain" };
  if (who.name === "unknown users" && part < SHARES.unknown) return { status: "failed", reason: "user-unknown" };
  if (who.name === "mailbox full" && part < SHARES.quota) return { status: "failed", reason: "mailbox-full" };
  return { status: "sent" };
}

/** True when the first try at an address cannot succeed and a later one does. */
export function needsPatience(address: string, seed: number): boolean {
  const who = characterOf(address);
  const part = share(address, seed);
  if (who.name === "mailbox full") return part >= SHARES.quota && part < SHARES.quota + SHARES.quotaNow;
  return who.name === "greylisting" || (who.name === "drops" && part < SHARES.drop);
}

/** Throws RangeError for an address that lives nowhere here. */
export function characterOf(address: string): Character {
  const domain = address.slice(address.lastIndexOf("@") + 1).toLowerCase();
  const who = CHARACTERS.find((one) => one.domains.includes(domain));
  if (who === undefined) throw new RangeError(`nobody here has the domain ${domain}`);
  return who;
}

// --- who remembers ----------------------------------------------------------------------------------------------------------------

function greylisting({ now }: World): Manners {
  const seen = new Map<string, number>();
  const refuse = (to: string): string => {
    const first = seen.get(to);
    if (first === undefined) seen.set(to, now());
    return first === undefined || now() - first < GREYLIST_MS ? GREYLISTED : "";
  };
  return { ...POLITE, refuse };
}

function mailboxFull({ seed }: World): Manners {
  const tries = new Map<string, number>();
  const refuse = (to: string): string => {
    const part = share(to, seed);
    if (part < SHARES.quota) return QUOTA;
    if (part >= SHARES.quota + SHARES.quotaNow) return "";
    const nth = (tries.get(to) ?? 0) + 1;
    tries.set(to, nth);
    return nth <= 2 ? QUOTA_NOW : "";
  };
  return { ...POLITE, refuse };
}

function dropping({ seed }: World): Manners {
  const done = new Set<string>();
  const drop = (to: string): boolean => {
    if (share(to, seed) >= SHARES.drop || done.has(to)) return false;
    done.add(to);
    return true;
  };
  return { ...POLITE, drop };
}

// --- making them ------------------------------------------------------------------------------------------------------------------

function character(name: string, says: string, parts: Partial<Omit<Character, "name" | "says">>): Character {
  const domains = parts.domains ?? [`${name}.example`];
  return {
    name,
    says,
    domains,
    weight: 1,
    dns: "mx",
    exchangers: [live(`mx.${domains[0]}`, 10)],
    manners: () => POLITE,
    ...parts,
  };
}

function live(name: string, preference: number): Exchanger {
  return { name, preference, dead: false };
}

/** 0…99, evenly: FNV-1a over address and seed, its high bits folded in because the low ones alone are uneven for short texts. */
function share(address: string, seed: number): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address.charCodeAt(i), 0x01000193) >>> 0;
  return ((hash ^ (hash >>> 15)) >>> 0) % 100;
}
