/**
 * Addresses and networks: which of many blocks an address lies in, by binary search over their beginnings. The most specific block wins.
 * IPv4 addresses are numbers of 32 bits; of IPv6 addresses the first 48 bits count, which is as much as a shortened one has.
 */

interface Block<T> {
  readonly from: number;
  readonly to: number;
  readonly value: T;
  /** Place of the block around it, -1 for none. */
  readonly around: number;
}

/** A function that finds the value of the smallest block around an address (with or without `/length`), null for none or no address. */
export function networkFinder<T>(blocks: readonly (readonly [network: string, value: T])[]): (ip: string) => T | null {
  const found: Record<4 | 6, Omit<Block<T>, "around">[]> = { 4: [], 6: [] };
  for (const [network, value] of blocks) {
    const [text = "", length = ""] = network.split("/");
    const bits = text.includes(":") ? 48 : 32;
    const from = addressNumber(text);
    const size = 2 ** (bits - Number(length));
    if (from === null || !Number.isInteger(size) || from % size !== 0) throw new RangeError(`${network} is no network`);
    found[bits === 48 ? 6 : 4].push({ from, to: from + size - 1, value });
  }
  const tables = { 4: nested(found[4]), 6: nested(found[6]) };
  return (ip) => {
    const number = addressNumber(ip);
    return number === null ? null : find(tables[ip.includes(":") ? 6 : 4], number);
  };
}

/** Of a machine's own, of a home, a company, a carrier or a cluster (RFC 6890 §2.2): no reader's address on the Internet, but that of a proxy before us. */
const PRIVATE = networkFinder(
  "10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 ::/48 fc00::/7 fe80::/10"
    .split(" ")
    .map((network) => [network, true] as const),
);

/** Whole or shortened. */
export function isPrivate(ip: string): boolean {
  return PRIVATE(ip) === true;
}

/** Blocks of this kind are apart or one within the other: from the last that begins before the address outwards. */
function find<T>(blocks: readonly Block<T>[], number: number): T | null {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (blocks[middle]!.from <= number) low = middle + 1;
    else high = middle;
  }
  let block = blocks[low - 1];
  while (block !== undefined && number > block.to) block = blocks[block.around];
  return block?.value ?? null;
}

/** In order, each knowing the next one around it. */
function nested<T>(blocks: readonly Omit<Block<T>, "around">[]): Block<T>[] {
  const sorted = [...blocks].sort((a, b) => a.from - b.from || b.to - a.to);
  const open: number[] = [];
  return sorted.map((block, i) => {
    while (open.length > 0 && sorted[open.at(-1)!]!.to < block.from) open.pop();
    const around = open.at(-1) ?? -1;
    open.push(i);
    return { ...block, around };
  });
}

/** The address as a number: 32 bits, or the first 48 of IPv6; null when it is neither. A length behind `/` is ignored. */
export function addressNumber(text: string): number | null {
  const slash = text.indexOf("/");
  const address = slash < 0 ? text : text.slice(0, slash);
  if (address.includes(":")) return six(address);
  return four(address);
}

function four(text: string): number | null {
  let value = 0;
  let part = -1;
  let parts = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : 46;
    if (code === 46) {
      if (part < 0 || part > 255 || ++parts > 4) return null;
      value = value * 256 + part;
      part = -1;
    } else if (code >= 48 && code <= 57) {
      part = (part < 0 ? 0 : part * 10) + code - 48;
      if (part > 255) return null;
    } else return null;
  }
  return parts === 4 ? value : null;
}

function six(text: string): number | null {
  // `::ffff:a.b.c.d` is an IPv4 address in disguise; whoever needs it unwraps it before (the redirector does).
  if (!/^[0-9a-f:.]{2,45}$/i.test(text)) return null;
  const gap = text.indexOf("::");
  const head = (gap < 0 ? text : text.slice(0, gap)).split(":");
  if (gap < 0 && head.length < 3) return null;
  let value = 0;
  for (let i = 0; i < 3; i++) {
    const group = gap >= 0 && i >= head.length ? "0" : (head[i] ?? "") || "0";
    if (!/^[0-9a-f]{1,4}$/i.test(group)) return null;
    value = value * 65_536 + Number.parseInt(group, 16);
  }
  return value;
}
