/**
 * The addresses a connection to a site may go to: exchangers by preference, shuffled inside equal ones (RFC 5321 §5.1), without those that are
 * no public addresses and those that the TLS policy of the domain forbids; or the outcome of a site that has none.
 */
import type { Outcome } from "../model/outcome.ts";
import { outcome } from "../model/outcome.ts";
import type { Exchanger } from "../model/traffic.ts";
import type { LanePath } from "./lane-table.ts";
import type { Resolver } from "./resolver.ts";
import type { TlsPolicies } from "./tls-policy.ts";
import type { TlsRefusal } from "./tls-policy/contract.ts";

/** Refused addresses that are named in the outcome. */
const NAMED = 3;

export interface Candidate extends Exchanger {
  readonly preference: number;
}

export interface CandidatesDeps {
  readonly resolver: Resolver;
  readonly policies: Pick<TlsPolicies, "refuse"> | null;
  /** Whether an address may be connected to. */
  allowed(ip: string): boolean;
}

/** @param late no further name is looked up. Never rejects. */
export async function findCandidates(
  { resolver, policies, allowed }: CandidatesDeps,
  { route, policy, ip: { publicId } }: LanePath,
  late: () => boolean,
): Promise<readonly Candidate[] | Outcome> {
  const found: Candidate[] = [];
  const seen = new Set<string>();
  let temporary = "";
  let wrong = "";
  let refusal: TlsRefusal | null = null;
  for (const { name, preference } of resolver.order(route)) {
    if (late()) break;
    const demand = (await policy?.demand(name)) ?? null;
    if (demand !== null && "refused" in demand) {
      refusal ??= demand;
      continue;
    }
    const addresses = await resolver.addresses(name);
    if (!Array.isArray(addresses)) {
      if (addresses.kind === "temporary") temporary = addresses.text;
      continue;
    }
    const good = addresses.filter(allowed);
    if (good.length === 0)
      wrong ||= `exchanger ${name} has only private addresses (${addresses.slice(0, NAMED).join(", ")})`;
    for (const ip of good) {
      if (!seen.has(ip)) found.push({ mx: name, ip, preference });
      seen.add(ip);
    }
  }
  if (found.length > 0) return found;
  if (refusal !== null && policies !== null) return policies.refuse(refusal, { publicId });
  if (temporary !== "") return outcome("unreachable", "resolve", { enhanced: "4.4.3", text: temporary, publicId });
  const text = wrong || "no exchanger of the domain has an address";
  return outcome("unreachable", "resolve", { enhanced: "4.4.4", text, publicId });
}
