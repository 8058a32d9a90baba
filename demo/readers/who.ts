/**
 * Which recipients are readers, and what kind of reader each is: decided by address and seed alone, so that the same demo has the same readers and
 * the exchangers know whose mail to keep whole.
 */

/** Of a hundred recipients, so many are readers; but not more than so many in all. */
const SHARE = 0.2;
const MOST = 600;

export const ROLES = [
  "scanner",
  "security product",
  "unsubscribes at the page",
  "unsubscribes by Gmail's button",
  "unsubscribes by Yahoo's button",
  "opens the mirror page",
  "tampers with links",
  "opens twice",
  "uses Apple Mail",
  "reads at Gmail",
  "reads at Yahoo",
  "clicks one link",
  "clicks two links",
  "opens",
] as const;
export type Role = (typeof ROLES)[number];

/** How many of fifty are what; every kind is among the first fourteen. */
const OF_FIFTY: Readonly<Record<Role, number>> = {
  scanner: 1,
  "security product": 1,
  "unsubscribes at the page": 2,
  "unsubscribes by Gmail's button": 1,
  "unsubscribes by Yahoo's button": 1,
  "opens the mirror page": 2,
  "tampers with links": 1,
  "opens twice": 2,
  "uses Apple Mail": 6,
  "reads at Gmail": 6,
  "reads at Yahoo": 3,
  "clicks one link": 10,
  "clicks two links": 6,
  opens: 8,
};
const TURNS: readonly Role[] = [
  ...ROLES,
  ...ROLES.flatMap((role) => Array.from({ length: OF_FIFTY[role] - 1 }, () => role)),
];

/** @param recipients how many the delivery has */
export function isReader(address: string, seed: number, recipients: number): boolean {
  return mixed(address, seed) / 0x1_0000_0000 < Math.min(SHARE, MOST / recipients);
}

/** The role of each reader, in an order that is drawn. */
export function rolesOf(addresses: readonly string[], seed: number): Map<string, Role> {
  const drawn = [...addresses].sort((a, b) => mixed(a, ~seed) - mixed(b, ~seed) || (a < b ? -1 : 1));
  return new Map(drawn.map((address, i) => [address, TURNS[i % TURNS.length]!]));
}

/** Numbers of one reader, below a bound each; the same ones each time. */
export function drawsOf(address: string, seed: number): (below: number) => number {
  let state = mixed(address, seed ^ 0x5bd1e995);
  return (below) => {
    state = finalised((state + 0x9e3779b9) >>> 0);
    return state % below;
  };
}

/** FNV-1a over address and seed, finalised as in MurmurHash3: 32 bits, evenly. */
function mixed(address: string, seed: number): number {
  let hash = (0x811c9dc5 ^ seed) >>> 0;
  for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address.charCodeAt(i), 0x01000193) >>> 0;
  return finalised(hash);
}

function finalised(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
