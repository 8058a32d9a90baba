/**
 * The exchangers of a recipient domain by name, as the mta finds its site (RFC 5321 §5.1, RFC 7505), so that a question about a message can be
 * asked about its site. No addresses are looked up: a site is named by its exchangers, and one that has none is found by the others.
 */
import { domainToASCII } from "node:url";
import { promises } from "node:dns";
import type { Clock } from "../../base/clock.ts";
import type { MtaSettings } from "../../config/settings.ts";
import { harmless } from "../../model/harmless.ts";

export type Exchangers =
  | { readonly kind: "names"; readonly names: readonly string[] }
  /** The domain takes no mail, or the DNS does not say where it goes. */
  | { readonly kind: "none"; readonly text: string };

/** Never rejects. */
export type FindExchangers = (domain: string) => Promise<Exchangers>;

const KEPT_MS = 60_000;
const KEPT_MOST = 5_000;
/** What the mta takes of a domain. */
const MOST = 20;
/** A person waits for the answer. */
const PATIENCE_MS = 3_000;

export function openExchangers(mta: Pick<MtaSettings, "dns" | "relay">, clock: Clock): FindExchangers {
  const { dns, relay } = mta;
  const timeoutMs = Math.min(dns.timeoutMs, PATIENCE_MS);
  const resolver = new promises.Resolver({ timeout: timeoutMs, tries: 1, maxTimeout: timeoutMs });
  if (dns.servers.length > 0) resolver.setServers(dns.servers);
  const kept = new Map<string, { readonly until: number; readonly found: Promise<Exchangers> }>();

  async function find(domain: string): Promise<Exchangers> {
    try {
      const records = await inTime(resolver.resolveMx(domain));
      return namesOf(domain, records);
    } catch (error) {
      const { code = "" } = error as NodeJS.ErrnoException;
      // A name without MX records is its own exchanger.
      if (code === "ENODATA") return { kind: "names", names: [domain] };
      if (code === "ENOTFOUND") return { kind: "none", text: `no such domain: ${domain}` };
      kept.delete(domain);
      return { kind: "none", text: `no answer from the DNS (MX ${domain}): ${code || (error as Error).message}` };
    }
  }

  /** The library ends its own waits; this one is for the day it does not. */
  function inTime<T>(question: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = clock.after(PATIENCE_MS + 1_000, () => late.reject(new Error("no answer in time")));
    return Promise.race([question, late.promise]).finally(() => timer.cancel());
  }

  return (given) => {
    const lower = given.toLowerCase().replace(/\.$/, "");
    const domain = domainToASCII(lower) || lower;
    if (relay.host !== "") return Promise.resolve({ kind: "names", names: [relay.host.toLowerCase()] });
    if (!isName(domain)) return Promise.resolve({ kind: "none", text: `not a domain: ${harmless(domain, 100)}` });
    const known = kept.get(domain);
    if (known !== undefined && known.until > clock.monotonic()) return known.found;
    kept.delete(domain);
    if (kept.size >= KEPT_MOST) kept.delete(kept.keys().next().value!);
    const found = find(domain);
    kept.set(domain, { until: clock.monotonic() + KEPT_MS, found });
    return found;
  };
}

/**
 * What is wrong with suspending a name: a domain of recipients matches none of its exchangers, and everything would go on. '' when nothing is,
 * or when the DNS does not say: in an emergency a name is taken as it is.
 */
export async function domainProblem(exchangers: FindExchangers, site: string): Promise<string> {
  const name = site.trim().toLowerCase().replace(/\.$/, "");
  if (name === "" || /[*?,@]/.test(name)) return "";
  const found = await exchangers(name);
  if (found.kind === "none" || found.names.includes(name)) return "";
  const names = found.names.map((one) => harmless(one, 255));
  const [first = ""] = names;
  return (
    `is a domain of recipients, and a suspension is for names of exchangers. Its mail goes to ${names.join(", ")}: ` +
    `suspend "*${first.slice(first.indexOf("."))}", or this site alone: "${names.join(",")}"`
  );
}

function namesOf(domain: string, records: readonly { exchange: string; priority: number }[]): Exchangers {
  const byName = new Map<string, number>();
  for (const { exchange, priority } of records) {
    const name = exchange.toLowerCase().replace(/\.$/, "");
    byName.set(name, Math.min(priority, byName.get(name) ?? priority));
  }
  // RFC 7505: the root as only exchanger.
  if (byName.size === 1 && byName.has("")) return { kind: "none", text: `the domain takes no mail: ${domain}` };
  const names = [...byName]
    .filter(([name]) => isName(name))
    .toSorted((a, b) => a[1] - b[1] || (a[0] < b[0] ? -1 : 1))
    .map(([name]) => name)
    .slice(0, MOST);
  if (names.length === 0) return { kind: "none", text: `no exchanger of the domain can be one: ${domain}` };
  return { kind: "names", names };
}

/** A host name as the DNS can carry it (RFC 1035 §2.3.4; underscores exist). */
function isName(name: string): boolean {
  return name.length <= 253 && /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/.test(name);
}
