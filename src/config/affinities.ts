/**
 * What must hold among affinities beyond the shape of each (spec modules.md §4.6): names are unique, and an IP address is one public id and
 * one HELO name wherever it appears. An address under two public ids would have two quotas for the one reputation receivers see.
 */
import { isIP, isIPv6 } from "node:net";
import { maskProblem } from "../model/mask.ts";

interface Affinity {
  readonly name: string;
  readonly ips: readonly {
    readonly address: string;
    readonly publicId: number;
    readonly helo: string;
    readonly includeDomains: readonly string[];
    readonly excludeDomains: readonly string[];
  }[];
}

export interface AffinityProblem {
  /** From the list of affinities on. */
  readonly path: readonly (string | number)[];
  readonly text: string;
}

export function affinityProblems(affinities: readonly Affinity[]): AffinityProblem[] {
  const problems: AffinityProblem[] = [];
  const wrong = (path: readonly (string | number)[], text: string): void => void problems.push({ path, text });
  const names = new Map<string, number>();
  const addresses = new Map<string, { readonly where: string; readonly publicId: number; readonly helo: string }>();

  affinities.forEach(({ name, ips }, a) => {
    const before = names.get(name);
    if (before !== undefined) wrong([a, "name"], `is the name of affinities[${before}] too`);
    else names.set(name, a);
    ips.forEach((ip, i) => {
      const at = [a, "ips", i] as const;
      for (const list of ["includeDomains", "excludeDomains"] as const) {
        ip[list].forEach((mask, m) => {
          const problem = maskProblem(mask);
          if (problem !== "") wrong([...at, list, m], problem);
        });
      }
      // Without an address the system chooses: nothing can be said of it.
      if (ip.address === "") return;
      if (isIP(ip.address) === 0) return wrong([...at, "address"], "is not an IP address");
      const address = plain(ip.address);
      const known = addresses.get(address);
      if (known === undefined) {
        addresses.set(address, { where: `affinities[${a}].ips[${i}]`, publicId: ip.publicId, helo: ip.helo });
        return;
      }
      if (known.publicId !== ip.publicId) {
        wrong(
          [...at, "publicId"],
          `${ip.address} has public id ${known.publicId} in ${known.where}; an address has one public id everywhere`,
        );
      }
      if (known.helo.toLowerCase() !== ip.helo.toLowerCase()) {
        const name = known.helo === "" ? "no HELO name of its own" : `HELO name ${known.helo}`;
        wrong([...at, "helo"], `${ip.address} has ${name} in ${known.where}; an address has one HELO name everywhere`);
      }
    });
  });
  return problems;
}

/** The one spelling of an address. */
function plain(address: string): string {
  return isIPv6(address) && !address.includes("%") ? new URL(`http://[${address}]/`).hostname : address;
}
