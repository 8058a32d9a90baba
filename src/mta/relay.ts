/** Relay mode: every domain has one site, the smart host; an IP address as its name is not looked up. */
import { isIP } from "node:net";
import type { Resolver } from "./resolver.ts";

export function relayResolver(host: string, resolver: Resolver): Resolver {
  const route = { kind: "site" as const, site: host.toLowerCase(), exchangers: [{ name: host, preference: 0 }] };
  return {
    ...resolver,
    route: () => Promise.resolve(route),
    addresses: (name) => (isIP(name) === 0 ? resolver.addresses(name) : Promise.resolve([name])),
  };
}
