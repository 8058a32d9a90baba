/** Two domains on one exchanger, one with a policy: what a whole mta sends, to whom, in which way. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { CHANNELS } from "../../src/db/sql.ts";
import { tlsResults } from "../../src/db/tls-results.ts";
import { openResolver } from "../../src/mta/resolver.ts";
import { openTlsMemory } from "../../src/mta/session/tls-memory.ts";
import { openSession } from "../../src/mta/session.ts";
import { openTlsPolicies, type TlsPolicies } from "../../src/mta/tls-policy.ts";
import { authority, expired, good, type TestCertificate } from "../support/certificates.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { openDnsServer, type DnsRecords, type DnsServer } from "../support/dns-server.ts";
import { putDelivery } from "../support/ledger.ts";
import { openTestMta } from "../support/mta.ts";
import { openPolicyServer, type PolicyServer } from "../support/policy-server.ts";
import { openSmtpSink, type SmtpSink } from "../support/smtp-sink.ts";
import { until } from "../support/until.ts";

const MX = "mx1.good.test";
const closing: { close(): Promise<void> }[] = [];
let db: TestDatabase;
let dns: DnsServer;
let web: PolicyServer;
let policies: TlsPolicies;
const zones: Record<string, DnsRecords> = {
  "good.test": { MX: [[10, MX]] },
  "second.test": { MX: [[10, MX]] },
  [MX]: { A: ["127.0.0.1"] },
  "mta-sts.good.test": { A: ["127.0.0.1"] },
  "_mta-sts.good.test": { TXT: ["v=STSv1; id=1"] },
};

beforeAll(async () => void (db = await openTestDatabase()));
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate mta_sts, tls_result`;
  dns = await openDnsServer(zones);
  web = await openPolicyServer(`version: STSv1\nmode: enforce\nmx: ${MX}\nmax_age: 86400\n`);
  closing.push(dns, web);
});
afterEach(async () => {
  for (const each of closing.splice(0).toReversed()) await each.close();
});

/** A delivery of five messages to each domain, to this exchanger: runs until all of them were tried. */
async function run(options: {
  certificate?: TestCertificate;
  starttls: boolean;
}): Promise<{ sink: SmtpSink; id: number }> {
  const sink = await openSmtpSink(options);
  closing.push(sink);
  const { dns: defaults } = parseSettings({}).mta;
  const resolver = openResolver({ ...defaults, servers: [`127.0.0.1:${dns.port}`], timeoutMs: 1000 }, systemClock);
  const https = { port: web.port, ca: authority };
  const { port } = sink;
  policies = openTlsPolicies({
    clock: systemClock,
    log: silentLog,
    sql: db.sql,
    resolver,
    port,
    privateAddresses: true,
    https,
  });
  closing.push(policies);
  const session = {
    clock: systemClock,
    tlsMemory: openTlsMemory(systemClock, { ca: authority }),
    observer: policies.observer,
  };
  const mta = await openTestMta({
    sql: db.sql,
    port,
    deps: { resolver, policies, openSession: (target, smtp, events) => openSession(session, target, smtp, events) },
  });
  closing.push(mta);
  const domains = ["good.test", "second.test"];
  const addresses = domains.flatMap((domain) => Array.from({ length: 5 }, (_, i) => `p${i}@${domain}`));
  const { id } = await putDelivery(db.sql, { addresses, retry: [3600] });
  await db.sql.notify(CHANNELS.work, String(id));
  await until(async () => (await statuses(id)).every(({ status }) => status !== 0), {
    what: "all to be tried",
    timeoutMs: 45_000,
  });
  return { sink, id };
}

async function statuses(id: number): Promise<{ status: number; domain: string }[]> {
  return await db.sql`
    select m.status::int as status, split_part(m.address, '@', 2) as domain from message m where m.delivery_id = ${id}`;
}
const byDomain = (rows: readonly { status: number; domain: string }[]): Record<string, number[]> =>
  Object.fromEntries(
    [...Map.groupBy(rows, (row) => row.domain)].map(([domain, some]) => [
      domain,
      [...new Set(some.map((row) => row.status))],
    ]),
  );
const today = (): string => new Date().toISOString().slice(0, 10);
const SENT = 2;
const DEFERRED = 1;

test.each<[string, { certificate?: TestCertificate; starttls: boolean }, string]>([
  ["STARTTLS taken away", { starttls: false }, "starttls-not-supported"],
  ["an expired certificate", { starttls: true, certificate: expired }, "certificate-expired"],
])("%s: the domain with a policy waits, its neighbour goes", async (_name, options, result) => {
  const { sink, id } = await run(options);
  expect(byDomain(await statuses(id))).toEqual({ "good.test": [DEFERRED], "second.test": [SENT] });
  expect(sink.messages.map(({ to }) => to[0]!.split("@")[1])).toEqual(Array.from({ length: 5 }, () => "second.test"));
  const events = await db.sql<{ stage: string; enhanced: string; mx: string }[]>`
    select e.stage, e.enhanced, e.mx from event e join message m on m.id = e.message_id
    where m.delivery_id = ${id} and m.address like '%@good.test'`;
  expect(new Set(events.map((event) => JSON.stringify(event)))).toEqual(
    new Set([JSON.stringify({ stage: "starttls", enhanced: "4.7.5", mx: MX })]),
  );
  await policies.close();
  // A connection that failed counts once for the domain, not once for each of its messages.
  const rows = await tlsResults(db.sql, today(), "good.test");
  expect(rows.map((row) => row.result)).toEqual([result]);
  expect(rows[0]!.sessions).toBeLessThan(5);
  expect(await tlsResults(db.sql, today(), "second.test")).toEqual([]);
});

test("all well: both go, the one with a policy over checked TLS", async () => {
  const { sink, id } = await run({ starttls: true, certificate: good });
  expect(byDomain(await statuses(id))).toEqual({ "good.test": [SENT], "second.test": [SENT] });
  expect(sink.messages.map(({ secure }) => secure)).toEqual(Array.from({ length: 10 }, () => true));
  await policies.close();
  expect(await tlsResults(db.sql, today(), "good.test")).toMatchObject([{ result: "", policyType: "sts" }]);
});
