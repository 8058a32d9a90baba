/**
 * TLS policies of recipient domains: DANE (RFC 7672) where the DNS vouches for it, else MTA-STS (RFC 8461), and the counts of what came of them
 * (RFC 8460). A DANE exchanger is judged by its TLSA records alone: MTA-STS never overrides them (RFC 8461 §2).
 *
 *     route = resolver.route(domain) → policy = policyOf(domain, route) → the lane of policy.route.site → per exchanger policy.demand(mx)
 *       → SessionTarget.demand → session (checks, and tells `observer`) → settled(domain, outcome) for messages no session took
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { dropExpiredPolicies, findPolicy, loadPolicies, savePolicy } from "../db/mta-sts.ts";
import type { Sql } from "../db/sql.ts";
import { addTlsResults } from "../db/tls-results.ts";
import { fetchText, type Fetched } from "../http/fetch.ts";
import { outcome, type Outcome } from "../model/outcome.ts";
import { markSite } from "../model/site-mark.ts";
import type { TlsFinding } from "../model/tls-result.ts";
import { stsAllows } from "../smtp/mta-sts.ts";
import { reportAddresses } from "../smtp/tls-report.ts";
import { isPublicAddress } from "./public-address.ts";
import { openRecent } from "./recent.ts";
import { plain, type PolicyResolver } from "./resolver.ts";
import {
  type SiteRoute,
  TLS_POLICY_STATUS,
  type TlsLink,
  type TlsObserver,
  type TlsPolicy,
  type TlsRefusal,
} from "./tls-policy/contract.ts";
import { openDane, type DaneState } from "./tls-policy/dane.ts";
import { openTlsResults } from "./tls-policy/results.ts";
import { type DomainPolicy, openSts } from "./tls-policy/sts.ts";

export interface TlsPolicies {
  /** The policy of a domain, and the route to use instead of the one given. Waits 5 s for MTA-STS at most, besides the DNS. Never rejects. */
  policyOf(domain: string, route: SiteRoute): Promise<TlsPolicy>;
  /** The outcome of messages whose policy leaves no exchanger: deferred, and counted. */
  refuse(refusal: TlsRefusal, parts: Partial<Outcome>): Outcome;
  /** For `openSession`. */
  readonly observer: TlsObserver;
  /** Every outcome of a message that is no answer of a session (the same object as was given for the connection): counts failures once a domain. */
  settled(domain: string, outcome: Outcome): void;
  /** Who wants reports on this domain (RFC 8460 §3); none when nobody says so. */
  reportTo(domain: string): Promise<string[]>;
  /** Writes what is counted. */
  close(): Promise<void>;
}

export interface TlsPolicyOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly sql: Sql;
  readonly resolver: PolicyResolver;
  /** `mta.smtp.port`. */
  readonly port: number;
  /** `mta.smtp.privateAddresses`: policies may come from there too. */
  readonly privateAddresses: boolean;
  /** Of the servers of policies, for tests: default 443 and the machine's certificates. */
  readonly https?: { readonly port: number; readonly ca: string };
}

/** RFC 8461 §3.3 suggests both. */
const FETCH_MS = 60_000;
const FETCH_BYTES = 65_536;
/** Loaded at the start. */
const POLICIES_LIMIT = 10_000;
/** Domains with a policy whose connections are counted. */
const DOMAINS_LIMIT = 50_000;
const NONE: DaneState = { kind: "none" };

/** What a domain is counted under. */
interface Counted {
  readonly sts: DomainPolicy | null;
  /** TLSA records by exchanger. */
  readonly dane: ReadonlyMap<string, string>;
}

export function openTlsPolicies(options: TlsPolicyOptions): TlsPolicies {
  const { clock, log, sql, resolver } = options;
  const results = openTlsResults((rows) => addTlsResults(sql, rows), clock, log);
  const stop = new AbortController();
  const dane = openDane(resolver, options.port);
  const sts = openSts({
    clock,
    log,
    store: {
      load: (since) => loadPolicies(sql, since, clock.now(), POLICIES_LIMIT),
      find: (domain) => findPolicy(sql, domain),
      save: (policy) => savePolicy(sql, policy),
      dropExpired: () => dropExpiredPolicies(sql, clock.now()),
    },
    txt: resolver.txt,
    fetch: (domain) => fetchPolicy(options, domain, stop.signal),
    failed: (domain, finding) =>
      results.count({ domain, policyType: "sts", policy: "", mx: "", sendingIp: "", receivingIp: "", ...finding }),
  });
  const counted = openRecent<string, Counted>(DOMAINS_LIMIT);
  const failures = new WeakMap<Outcome, { readonly link: TlsLink; readonly told: Set<string> }>();

  function count(domain: string, link: TlsLink): void {
    const under = counted.get(domain);
    if (under === undefined) return;
    const add = (policyType: "sts" | "tlsa", policy: string, finding: TlsFinding): void =>
      results.count({
        domain,
        policyType,
        policy,
        mx: link.mx,
        sendingIp: link.localAddress,
        receivingIp: link.ip,
        ...finding,
      });
    const records = under.dane.get(link.mx);
    const finding = link.finding();
    if (finding === null) return;
    if (records !== undefined) {
      // A connection from before the records appeared was judged otherwise.
      if (link.check === "dane" || link.check === "any") add("tlsa", records, finding);
    } else if (under.sts !== null) {
      const { policy, text } = under.sts;
      const outside = finding.result === "" && !stsAllows(policy, link.mx);
      add(
        "sts",
        text,
        outside ? { result: "validation-failure", reason: "the exchanger is not in the policy" } : finding,
      );
    }
  }

  return {
    async policyOf(asked, route) {
      const domain = plain(asked);
      const [known, states] = await Promise.all([
        sts.policy(domain),
        Promise.all(route.exchangers.map(({ name }) => (route.secure === true ? dane.exchanger(name) : NONE))),
      ]);
      const found = known?.policy.mode === "none" ? null : known;
      const under = new Map(
        route.exchangers.flatMap(({ name }, i) => {
          const state = states[i]!;
          return state.kind === "none" ? [] : [[name, state.kind === "dane" ? state.text : ""] as const];
        }),
      );
      if (found === null && under.size === 0) counted.delete(domain);
      else counted.set(domain, { sts: found, dane: under });
      return makePolicy(domain, route, found, (mx) => under.has(mx), dane.exchanger);
    },
    refuse({ refused, result }, parts) {
      const made = outcome("unreachable", "resolve", { ...parts, enhanced: TLS_POLICY_STATUS, text: refused });
      const finding = { result, reason: refused };
      const { mx, remoteIp: ip } = made;
      // Of DANE or of STS, as the domain's own records say.
      const check = result === "dnssec-invalid" ? "dane" : "pkix";
      failures.set(made, { link: { mx, ip, localAddress: "", check, finding: () => finding }, told: new Set() });
      return made;
    },
    observer: {
      carried: (domain, link) => count(plain(domain), link),
      failed: (made, link) => void failures.set(made, { link, told: new Set() }),
    },
    settled(domain, made) {
      const failure = failures.get(made);
      if (failure === undefined || failure.told.has(domain)) return;
      failure.told.add(domain);
      count(plain(domain), failure.link);
    },
    async reportTo(domain) {
      const answer = await resolver.txt(`_smtp._tls.${plain(domain)}`);
      return answer.kind === "records" ? reportAddresses(answer.records) : [];
    },
    async close() {
      sts.close();
      stop.abort();
      await results.close();
    },
  };
}

/** @param daneAt whether an exchanger had TLSA records (or nobody could say) when the policy was made. */
function makePolicy(
  domain: string,
  route: SiteRoute,
  found: DomainPolicy | null,
  daneAt: (mx: string) => boolean,
  exchanger: (mx: string) => Promise<DaneState>,
): TlsPolicy {
  const enforced = found?.policy.mode === "enforce" ? found : null;
  const withDane = route.exchangers.some(({ name }) => daneAt(name));
  const allowed = route.exchangers.filter(
    ({ name }) => enforced === null || daneAt(name) || stsAllows(enforced.policy, name),
  );
  const marks = [withDane ? "dane" : "", enforced === null ? "" : "sts"].filter((mark) => mark !== "");
  const names = [withDane ? "DANE" : "", found === null ? "" : `MTA-STS ${found.policy.mode} ${found.id}`];
  const site = allowed.length === route.exchangers.length ? route.site : allowed.map(({ name }) => name).join(",");
  const outside = `MTA-STS policy ${found?.id} of ${domain} has none of its exchangers (${route.site.slice(0, 200)})`;
  return {
    domain,
    name: names.filter((name) => name !== "").join(", "),
    route: { ...route, site: markSite(site, marks.join("+")), exchangers: allowed },
    refusal: allowed.length > 0 ? null : { refused: outside, result: "validation-failure" },
    async demand(mx) {
      if (withDane) {
        const state = await exchanger(mx);
        if (state.kind === "dane") return state.demand;
        if (state.kind === "failed") return state.refusal;
      }
      if (enforced === null) return null;
      if (stsAllows(enforced.policy, mx)) return { name: "required", check: { kind: "pkix" } };
      return {
        refused: `MTA-STS policy ${enforced.id} of ${domain} does not have ${mx}`,
        result: "validation-failure",
      };
    },
  };
}

async function fetchPolicy(options: TlsPolicyOptions, domain: string, signal: AbortSignal): Promise<Fetched> {
  const { resolver, clock, https } = options;
  const host = `mta-sts.${domain}`;
  const found = await resolver.addresses(host);
  if (!Array.isArray(found)) return { kind: "network", text: found.text };
  const addresses = found.filter((ip) => options.privateAddresses || isPublicAddress(ip));
  if (addresses.length === 0) return { kind: "network", text: `${host} has only private addresses` };
  return await fetchText({
    host,
    path: "/.well-known/mta-sts.txt",
    addresses,
    types: ["text/plain"],
    mostBytes: FETCH_BYTES,
    timeoutMs: FETCH_MS,
    clock,
    signal,
    ...https,
  });
}
