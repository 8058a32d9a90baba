/**
 * TLS policies with everything real (DNS, HTTPS, SMTP with TLS, PostgreSQL), for the tests of them: good.test with a policy of MTA-STS in force,
 * its neighbour second.test without, both on mx1.good.test at 127.0.0.1.
 */
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { tlsResults } from "../../src/db/tls-results.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import type { TlsResult } from "../../src/model/tls-result.ts";
import { openResolver, type PolicyResolver } from "../../src/mta/resolver.ts";
import { openTlsMemory } from "../../src/mta/session/tls-memory.ts";
import { openSession } from "../../src/mta/session.ts";
import type { TlsPolicy } from "../../src/mta/tls-policy/contract.ts";
import { openTlsPolicies, type TlsPolicies } from "../../src/mta/tls-policy.ts";
import { authority, type TestCertificate } from "./certificates.ts";
import type { TestDatabase } from "./database.ts";
import { type DnsRecords, type DnsServer, openDnsServer } from "./dns-server.ts";
import { openPolicyServer, type PolicyServer } from "./policy-server.ts";
import { sessionTarget, smtpSettings, testMessage } from "./session.ts";
import { openSmtpSink, type SmtpSink } from "./smtp-sink.ts";

export const MX = "mx1.good.test";
export const policyText = (mode: string, mx = MX): string =>
  `version: STSv1\r\nmode: ${mode}\r\nmx: ${mx}\r\nmax_age: 86400\r\n`;

export interface TlsParty {
  readonly policies: TlsPolicies;
  readonly resolver: PolicyResolver;
  policyOf(domain: string): Promise<TlsPolicy>;
  /** As a lane would: the policy's demand, a session, a message, and what it came to told, twice. */
  deliver(domain: string, port: number): Promise<Outcome>;
  /** Closes the policies; what was counted today for the domain. */
  counted(domain?: string): Promise<TlsResult[]>;
}

export interface TlsWorld {
  /** May be changed; nothing is cached. */
  readonly zones: Record<string, DnsRecords>;
  readonly dns: DnsServer;
  /** Where good.test and second.test have their policies. */
  readonly web: PolicyServer;
  /** @param options `port` of the exchangers. */
  setUp(options?: { port?: number; trustAd?: boolean; privateAddresses?: boolean }): TlsParty;
  /** An exchanger; without a certificate its own is self-signed, for mx.test. */
  sink(certificate?: TestCertificate, starttls?: boolean): Promise<SmtpSink>;
  close(): Promise<void>;
}

export async function openTlsWorld(db: TestDatabase): Promise<TlsWorld> {
  await db.sql`truncate mta_sts, tls_result`;
  const zones: Record<string, DnsRecords> = {
    "good.test": { MX: [[10, MX]] },
    "second.test": { MX: [[10, MX]] },
    [MX]: { A: ["127.0.0.1"] },
    "mx2.good.test": { A: ["127.0.0.1"] },
    "mta-sts.good.test": { A: ["127.0.0.1"] },
    "_mta-sts.good.test": { TXT: ["v=STSv1; id=1"] },
  };
  const dns = await openDnsServer((name) => zones[name]);
  const web = await openPolicyServer(policyText("enforce"));
  const closing: { close(): Promise<void> }[] = [dns, web];

  async function attempt(party: TlsParty, domain: string, port: number): Promise<Outcome> {
    const { policies } = party;
    const policy = await party.policyOf(domain);
    if (policy.refusal !== null) return policies.refuse(policy.refusal, {});
    const mx = policy.route.exchangers[0]!.name;
    const demand = await policy.demand(mx);
    if (demand !== null && "refused" in demand) return policies.refuse(demand, { mx });
    const tlsMemory = openTlsMemory(systemClock, { ca: authority });
    const session = await openSession(
      { clock: systemClock, tlsMemory, observer: policies.observer },
      sessionTarget(port, { mx, tls: "opportunistic", demand }),
      smtpSettings(),
      { permit: () => true, change() {} },
    );
    if (!("submit" in session)) return session;
    const made = await session.submit(testMessage(1, 60, { to: `r@${domain}` }));
    await session.quit();
    return made;
  }

  return {
    zones,
    dns,
    web,
    setUp({ port = 25, trustAd = false, privateAddresses = true } = {}) {
      const { dns: defaults } = parseSettings({}).mta;
      const servers = [`127.0.0.1:${dns.port}`];
      const uncached = { timeoutMs: 300, tries: 1, cacheMs: 0, negativeCacheMs: 0 };
      const resolver = openResolver({ ...defaults, ...uncached, servers, trustAd }, systemClock);
      const https = { port: web.port, ca: authority };
      const outside = { clock: systemClock, log: silentLog, sql: db.sql, resolver };
      const policies = openTlsPolicies({ ...outside, port, privateAddresses, https });
      closing.push(policies);
      const party: TlsParty = {
        policies,
        resolver,
        async policyOf(domain) {
          const route = await resolver.route(domain);
          if (route.kind !== "site") throw new Error(`no route: ${route.text}`);
          return await policies.policyOf(domain, route);
        },
        async deliver(domain, at) {
          const made = await attempt(party, domain, at);
          policies.settled(domain, made);
          policies.settled(domain, made);
          return made;
        },
        async counted(domain = "good.test") {
          await policies.close();
          return await tlsResults(db.sql, new Date().toISOString().slice(0, 10), domain);
        },
      };
      return party;
    },
    async sink(certificate, starttls = true) {
      const server = await openSmtpSink({ starttls, ...(certificate === undefined ? {} : { certificate }) });
      closing.push(server);
      return server;
    },
    async close() {
      for (const each of closing.splice(0).toReversed()) await each.close();
    },
  };
}
