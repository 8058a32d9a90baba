/**
 * Which addresses an exchanger of the public Internet can have. The owner of a domain writes what he likes into the DNS: an MX that points
 * at 127.0.0.1 or into our own network must not make us talk to what listens there, nor tell him in a reply's text what it is.
 */
import { BlockList, isIP } from "node:net";

/** RFC 1918, and what the registries of RFC 6890 do not call globally reachable. */
const FOUR: readonly (readonly [string, number])[] = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
];

/** `::/96` holds `::` and `::1`; `fec0::/10` are the site-local addresses of old. */
const SIX: readonly (readonly [string, number])[] = [
  ["::", 96],
  ["64:ff9b:1::", 48],
  ["100::", 64],
  ["2001:db8::", 32],
  ["fc00::", 7],
  ["fe80::", 10],
  ["fec0::", 10],
  ["ff00::", 8],
];

const refused = new BlockList();
for (const [address, prefix] of FOUR) {
  // An IPv4 rule is held against ::ffff:a.b.c.d too; a NAT64 gateway (64:ff9b::/96) would carry us to the same places.
  refused.addSubnet(address, prefix, "ipv4");
  refused.addSubnet(`64:ff9b::${address}`, 96 + prefix, "ipv6");
}
for (const [address, prefix] of SIX) refused.addSubnet(address, prefix, "ipv6");

/** True for an IPv4 or IPv6 address that may be a host of the public Internet. */
export function isPublicAddress(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && !address.includes("%") && !refused.check(address, family === 6 ? "ipv6" : "ipv4");
}
