/** From a domain to what leaves, with everything real: DNS, HTTPS, SMTP with TLS, PostgreSQL. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { findPolicy } from "../../src/db/mta-sts.ts";
import { tlsResults } from "../../src/db/tls-results.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import { settle } from "../../src/model/settle.ts";
import type { TlsResult } from "../../src/model/tls-result.ts";
import { openResolver, type PolicyResolver } from "../../src/mta/resolver.ts";
import { openTlsMemory } from "../../src/mta/session/tls-memory.ts";
import { openSession } from "../../src/mta/session.ts";
import type { SiteRoute, TlsPolicy } from "../../src/mta/tls-policy/contract.ts";
import { openTlsPolicies, type TlsPolicies } from "../../src/mta/tls-policy.ts";
import { tlsReport } from "../../src/smtp/tls-report.ts";
import { authority, expired, good, tlsaOf, type TestCertificate } from "../support/certificates.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { openDnsServer, type DnsRecords, type DnsServer } from "../support/dns-server.ts";
import { openPolicyServer, type PolicyServer } from "../support/policy-server.ts";
import { sessionTarget, smtpSettings, testMessage } from "../support/session.ts";
import { openSmtpSink, type SmtpSink } from "../support/smtp-sink.ts";

const MX = "mx1.good.test";
const closing: { close(): Promise<void> }[] = [];
let db: TestDatabase;
let dns: DnsServer;
let web: PolicyServer;
let zones: Record<string, DnsRecords>;

beforeAll(async () => void (db = await openTestDatabase()));
afterAll(() => db.close());
beforeEach(async () => {
  await db.sql`truncate mta_sts, tls_result`;
  zones = {
    "good.test": { MX: [[10, MX]] },
    // Its neighbour on the same exchanger asks for nothing.
    "second.test": { MX: [[10, MX]] },
    [MX]: { A: ["127.0.0.1"] },
    "mx2.good.test": { A: ["127.0.0.1"] },
    "mta-sts.good.test": { A: ["127.0.0.1"] },
    "_mta-sts.good.test": { TXT: ["v=STSv1; id=1"] },
  };
  dns = await openDnsServer((name) => zones[name]);
  web = await openPolicyServer(policyText("enforce"));
  closing.push(dns, web);
});
afterEach(async () => {
  for (const each of closing.splice(0).toReversed()) await each.close();
});

const policyText = (mode: string, mx = MX): string =>
  `version: STSv1\r\nmode: ${mode}\r\nmx: ${mx}\r\nmax_age: 86400\r\n`;

interface Setup {
  readonly policies: TlsPolicies;
  readonly resolver: PolicyResolver;
  policyOf(domain: string): Promise<TlsPolicy>;
}
function setUp(options: { port?: number; trustAd?: boolean; privateAddresses?: boolean } = {}): Setup {
  const { port = 25, trustAd = false, privateAddresses = true } = options;
  const defaults = parseSettings({}).mta.dns;
  const servers = [`127.0.0.1:${dns.port}`];
  const resolver = openResolver(
    { ...defaults, servers, timeoutMs: 300, tries: 1, cacheMs: 0, negativeCacheMs: 0, trustAd },
    systemClock,
  );
  const https = { port: web.port, ca: authority };
  const policies = openTlsPolicies({
    clock: systemClock,
    log: silentLog,
    sql: db.sql,
    resolver,
    port,
    privateAddresses,
    https,
  });
  closing.push(policies);
  return {
    policies,
    resolver,
    async policyOf(domain) {
      const route = await resolver.route(domain);
      if (route.kind !== "site") throw new Error(`no route: ${route.text}`);
      return await policies.policyOf(domain, route);
    },
  };
}
async function sink(certificate?: TestCertificate, starttls = true): Promise<SmtpSink> {
  const server = await openSmtpSink({ starttls, ...(certificate === undefined ? {} : { certificate }) });
  closing.push(server);
  return server;
}
/** As a lane would: the policy's demand, a session, a message, and what it came to told. */
async function deliver(setup: Setup, domain: string, port: number): Promise<Outcome> {
  const policy = await setup.policyOf(domain);
  const { policies } = setup;
  let made: Outcome;
  if (policy.refusal !== null) made = policies.refuse(policy.refusal, {});
  else {
    const mx = policy.route.exchangers[0]!.name;
    const demand = await policy.demand(mx);
    if (demand !== null && "refused" in demand) made = policies.refuse(demand, { mx });
    else {
      const session = await openSession(
        { clock: systemClock, tlsMemory: openTlsMemory(systemClock, { ca: authority }), observer: policies.observer },
        sessionTarget(port, { mx, tls: "opportunistic", demand }),
        smtpSettings(),
        { permit: () => true, change() {} },
      );
      if ("submit" in session) {
        made = await session.submit(testMessage(1, 60, { to: `r@${domain}` }));
        await session.quit();
      } else made = session;
    }
  }
  policies.settled(domain, made);
  policies.settled(domain, made);
  return made;
}
async function counted(policies: TlsPolicies, domain = "good.test"): Promise<TlsResult[]> {
  await policies.close();
  return await tlsResults(db.sql, new Date().toISOString().slice(0, 10), domain);
}

describe("MTA-STS", () => {
  test("enforced: over TLS to the right one; kept for all machines; counted", async () => {
    const server = await sink(good);
    const setup = setUp();
    const policy = await setup.policyOf("GOOD.test.");
    expect(policy).toMatchObject({
      domain: "good.test",
      name: "MTA-STS enforce 1",
      refusal: null,
      route: { site: `${MX}#sts` },
    });
    expect(await deliver(setup, "good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(server.messages).toMatchObject([{ secure: true }]);
    expect(web.requests).toEqual(["mta-sts.good.test /.well-known/mta-sts.txt"]);
    expect(await findPolicy(db.sql, "good.test")).toMatchObject({ id: "1", body: policyText("enforce") });
    expect(await counted(setup.policies)).toMatchObject([
      { policyType: "sts", policy: policyText("enforce"), mx: MX, receivingIp: "127.0.0.1", result: "", sessions: 1 },
    ]);
  });

  test.each<[string, TestCertificate | undefined, boolean, string]>([
    ["STARTTLS taken away", good, false, "starttls-not-supported"],
    ["an expired certificate", expired, true, "certificate-expired"],
    ["a self-signed certificate", undefined, true, "certificate-not-trusted"],
  ])("enforced, %s: deferred, not sent, counted once", async (_name, certificate, starttls, result) => {
    const server = await sink(certificate, starttls);
    const setup = setUp();
    const made = await deliver(setup, "good.test", server.port);
    expect(made).toMatchObject({ kind: "unreachable", stage: "starttls", enhanced: "4.7.5", mx: MX });
    const attempted = {
      attempts: 0,
      moves: 9,
      deliveredBefore: 0,
      retry: [60],
      deadline: 9e15,
      inDoubt: "retry",
    } as const;
    expect(settle(made, attempted, 0, 0.5)).toMatchObject({ next: "record", status: "deferred" });
    expect(server.messages).toEqual([]);
    expect(await counted(setup.policies)).toMatchObject([{ policyType: "sts", result, sessions: 1, mx: MX }]);
  });

  test("the neighbour on the same exchanger has its own lane, and goes as ever", async () => {
    const server = await sink(expired);
    const setup = setUp();
    expect((await setup.policyOf("second.test")).route.site).toBe(MX);
    expect(await deliver(setup, "second.test", server.port)).toMatchObject({ kind: "accepted" });
    expect((await setup.policyOf("good.test")).route.site).toBe(`${MX}#sts`);
    expect(await counted(setup.policies, "second.test")).toEqual([]);
  });

  test("two domains that ask the same share a lane", async () => {
    zones["mta-sts.second.test"] = { A: ["127.0.0.1"] };
    zones["_mta-sts.second.test"] = { TXT: ["v=STSv1; id=7"] };
    const { policyOf } = setUp();
    const [a, b] = [await policyOf("good.test"), await policyOf("second.test")];
    expect(a.route.site).toBe(b.route.site);
    expect(await a.demand(MX)).toEqual(await b.demand(MX));
  });

  test("an exchanger that is not in the policy is left out; none left: refused, deferred at once, counted", async () => {
    zones["good.test"] = {
      MX: [
        [5, "evil.test"],
        [10, MX],
      ],
    };
    zones["evil.test"] = { A: ["127.0.0.1"] };
    const setup = setUp();
    const some = await setup.policyOf("good.test");
    expect(some.route).toMatchObject({ site: `${MX}#sts`, exchangers: [{ name: MX }] });
    expect(await some.demand("evil.test")).toMatchObject({
      refused: expect.stringContaining("does not have evil.test"),
    });
    zones["good.test"] = { MX: [[5, "evil.test"]] };
    const none = setUp();
    const made = await deliver(none, "good.test", 1);
    expect(made).toMatchObject({ kind: "unreachable", stage: "resolve", enhanced: "4.7.5" });
    expect(made.text).toBe("MTA-STS policy 1 of good.test has none of its exchangers (evil.test)");
    const attempted = {
      attempts: 0,
      moves: 0,
      deliveredBefore: 0,
      retry: [60],
      deadline: 9e15,
      inDoubt: "retry",
    } as const;
    expect(settle(made, attempted, 0, 0.5)).toMatchObject({ next: "record", status: "deferred" });
    expect(await counted(none.policies)).toMatchObject([
      { policyType: "sts", result: "validation-failure", sessions: 1 },
    ]);
  });

  test.each<[string, TestCertificate | undefined, boolean, string]>([
    ["all well", good, true, ""],
    ["no STARTTLS", good, false, "starttls-not-supported"],
    ["expired", expired, true, "certificate-expired"],
    ["self-signed", undefined, true, "certificate-not-trusted"],
  ])("testing, %s: sent anyway, counted, in the common lane", async (_name, certificate, starttls, result) => {
    web.answer = policyText("testing");
    const server = await sink(certificate, starttls);
    const setup = setUp();
    expect(await setup.policyOf("good.test")).toMatchObject({ name: "MTA-STS testing 1", route: { site: MX } });
    expect(await deliver(setup, "good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(await counted(setup.policies)).toMatchObject([{ policyType: "sts", result, sessions: 1 }]);
  });

  test("testing, another exchanger than the policy's: sent, counted", async () => {
    web.answer = policyText("testing", "*.elsewhere.test");
    const server = await sink(good);
    const setup = setUp();
    expect(await deliver(setup, "good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(await counted(setup.policies)).toMatchObject([
      { result: "validation-failure", reason: "the exchanger is not in the policy" },
    ]);
  });

  test.each<[string, () => void, string]>([
    ["a policy of a megabyte", () => void (web.answer = "x".repeat(1_000_000)), "sts-policy-fetch-error"],
    [
      "a redirect to a good one",
      () =>
        void (web.answer = (request, response) => {
          if (request.url === "/good")
            response.writeHead(200, { "content-type": "text/plain" }).end(policyText("enforce"));
          else response.writeHead(302, { location: "/good" }).end();
        }),
      "sts-policy-fetch-error",
    ],
    [
      "another content type",
      () =>
        void (web.answer = (_q, r) =>
          void r.writeHead(200, { "content-type": "text/html" }).end(policyText("enforce"))),
      "sts-policy-fetch-error",
    ],
    ["an mx line that is none", () => void (web.answer = policyText("enforce", "*")), "sts-policy-invalid"],
    [
      "a policy host without certificate for the name",
      () => void (zones["mta-sts.good.test"] = { CNAME: "mx2.good.test" }),
      "",
    ],
    ["no policy host", () => void delete zones["mta-sts.good.test"], "sts-policy-fetch-error"],
  ])("%s", async (_name, prepare, result) => {
    prepare();
    const setup = setUp();
    const policy = await setup.policyOf("good.test");
    // An alias is nobody's business: the name asked for is what the certificate must have.
    expect(policy.name).toBe(result === "" ? "MTA-STS enforce 1" : "");
    expect(policy.route.site).toBe(result === "" ? `${MX}#sts` : MX);
    expect((await counted(setup.policies)).map((row) => row.result)).toEqual(result === "" ? [] : [result]);
  });

  test("the policy's server shows another's certificate: sts-webpki-invalid", async () => {
    zones["third.test"] = { MX: [[10, MX]] };
    zones["_mta-sts.third.test"] = { TXT: ["v=STSv1; id=1"] };
    zones["mta-sts.third.test"] = { A: ["127.0.0.1"] };
    const setup = setUp();
    expect((await setup.policyOf("third.test")).name).toBe("");
    expect(web.requests).toEqual([]);
    expect(await counted(setup.policies, "third.test")).toMatchObject([{ result: "sts-webpki-invalid" }]);
  });

  test("a policy host at a private address is not called", async () => {
    const setup = setUp({ privateAddresses: false });
    expect((await setup.policyOf("good.test")).name).toBe("");
    expect(web.requests).toEqual([]);
    expect(await counted(setup.policies)).toMatchObject([
      { result: "sts-policy-fetch-error", reason: "mta-sts.good.test has only private addresses" },
    ]);
  });

  test("the TXT record twice: no policy, nothing fetched", async () => {
    zones["_mta-sts.good.test"] = { TXT: ["v=STSv1; id=1", "v=STSv1; id=2"] };
    const { policyOf } = setUp();
    expect((await policyOf("good.test")).name).toBe("");
    expect(web.requests).toEqual([]);
  });

  test("mode none is no policy", async () => {
    web.answer = "version: STSv1\nmode: none\nmax_age: 86400\n";
    const { policyOf } = setUp();
    expect(await policyOf("good.test")).toMatchObject({ name: "", route: { site: MX } });
  });
});

describe("DANE", () => {
  const PORT_NAME = (port: number, mx = MX): string => `_${port}._tcp.${mx}`;
  /** Everything signed, with these records for the exchanger. */
  function sign(port: number, records: readonly string[]): void {
    delete zones["_mta-sts.good.test"];
    zones["good.test"] = { ...zones["good.test"], secure: true };
    zones[MX] = { A: ["127.0.0.1"], secure: true };
    zones[PORT_NAME(port)] = { TLSA: records, secure: true };
  }
  const right = tlsaOf(good.chain[0]!, 3, 1, 1);
  const wrong = tlsaOf(expired.chain[0]!, 3, 1, 1);

  test("records that match: sent, counted as tlsa", async () => {
    const server = await sink(good);
    sign(server.port, [right]);
    const setup = setUp({ port: server.port, trustAd: true });
    expect(await setup.policyOf("good.test")).toMatchObject({
      name: "DANE",
      route: { site: `${MX}#dane`, secure: true },
    });
    expect(await deliver(setup, "good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(await counted(setup.policies)).toMatchObject([
      { policyType: "tlsa", policy: right, result: "", sessions: 1 },
    ]);
  });

  test("records that do not: deferred, although the certificate is valid by the Web", async () => {
    const server = await sink(good);
    sign(server.port, [wrong]);
    const setup = setUp({ port: server.port, trustAd: true });
    expect(await deliver(setup, "good.test", server.port)).toMatchObject({ kind: "unreachable", enhanced: "4.7.5" });
    expect(server.messages).toEqual([]);
    expect(await counted(setup.policies)).toMatchObject([{ policyType: "tlsa", result: "validation-failure" }]);
  });

  test("STARTTLS taken away: deferred", async () => {
    const server = await sink(good, false);
    sign(server.port, [right]);
    const setup = setUp({ port: server.port, trustAd: true });
    expect(await deliver(setup, "good.test", server.port)).toMatchObject({ kind: "unreachable", stage: "starttls" });
    expect(server.messages).toEqual([]);
    expect(await counted(setup.policies)).toMatchObject([{ policyType: "tlsa", result: "starttls-not-supported" }]);
  });

  test("garbage in the records: TLS is demanded, with any certificate", async () => {
    const server = await sink(expired);
    sign(server.port, ["3 1 1 00", "0 0 0 ff", "255 255 255 00"]);
    const setup = setUp({ port: server.port, trustAd: true });
    expect(await (await setup.policyOf("good.test")).demand(MX)).toMatchObject({ check: { kind: "any" } });
    expect(await deliver(setup, "good.test", server.port)).toMatchObject({
      kind: "accepted",
      tls: expect.stringContaining("TLS"),
    });
    const clear = await sink(undefined, false);
    sign(clear.port, ["3 1 1 00"]);
    const second = setUp({ port: clear.port, trustAd: true });
    expect(await deliver(second, "good.test", clear.port)).toMatchObject({ kind: "unreachable" });
  });

  test.each<[string, (port: number) => void]>([
    ["the resolver is not trusted", () => {}],
    ["AD is missing for the MX records", () => void (zones["good.test"] = { MX: [[10, MX]] })],
    ["AD is missing for the address", () => void (zones[MX] = { A: ["127.0.0.1"] })],
    ["AD is missing for the TLSA records", (port) => void (zones[PORT_NAME(port)] = { TLSA: [wrong] })],
    ["there are none", (port) => void delete zones[PORT_NAME(port)]],
  ])("%s: no DANE, mail goes as ever", async (name, prepare) => {
    const server = await sink(good);
    sign(server.port, [wrong]);
    prepare(server.port);
    const setup = setUp({ port: server.port, trustAd: !name.includes("not trusted") });
    expect((await setup.policyOf("good.test")).route.site).toBe(MX);
    expect(await deliver(setup, "good.test", server.port)).toMatchObject({ kind: "accepted" });
    if (name.includes("address") || name.includes("MX"))
      expect(dns.queries.filter((query) => query.startsWith("TLSA"))).toEqual([]);
  });

  test.each(["SERVFAIL", "REFUSED", "silence"] as const)(
    "%s for the TLSA records: that exchanger is not used",
    async (how) => {
      const server = await sink(good);
      sign(server.port, [right]);
      zones[PORT_NAME(server.port)] = how === "silence" ? { silent: true } : { rcode: how };
      const setup = setUp({ port: server.port, trustAd: true });
      const made = await deliver(setup, "good.test", server.port);
      expect(made).toMatchObject({
        kind: "unreachable",
        stage: "resolve",
        enhanced: "4.7.5",
        text: expect.stringContaining("DANE"),
      });
      expect(server.messages).toEqual([]);
      expect(await counted(setup.policies)).toMatchObject([{ policyType: "tlsa", result: "dnssec-invalid", mx: MX }]);
    },
  );

  test("an exchanger of several: the one without records goes as ever, the other is demanded of", async () => {
    sign(25, [right]);
    zones["good.test"] = {
      MX: [
        [10, MX],
        [20, "mx2.good.test"],
      ],
      secure: true,
    };
    zones["mx2.good.test"] = { A: ["127.0.0.1"], secure: true };
    const policy = await setUp({ trustAd: true }).policyOf("good.test");
    expect(policy.route.site).toBe(`${MX},mx2.good.test#dane`);
    expect(await policy.demand(MX)).toMatchObject({ check: { kind: "dane" } });
    expect(await policy.demand("mx2.good.test")).toBeNull();
  });

  test("an alias: the records of its end first, then its own", async () => {
    sign(25, [right]);
    zones[MX] = { CNAME: "host.good.test", secure: true };
    zones["host.good.test"] = { A: ["127.0.0.1"], secure: true };
    const { policyOf } = setUp({ trustAd: true });
    expect(await (await policyOf("good.test")).demand(MX)).toMatchObject({ check: { name: MX, names: [MX] } });
    zones[PORT_NAME(25, "host.good.test")] = { TLSA: [wrong], secure: true };
    expect(await (await policyOf("good.test")).demand(MX)).toMatchObject({
      check: { name: "host.good.test", names: ["host.good.test", MX] },
    });
  });

  test("no MX: the domain is its own exchanger", async () => {
    zones["own.test"] = { A: ["127.0.0.1"], secure: true };
    zones[PORT_NAME(25, "own.test")] = { TLSA: [right], secure: true };
    expect((await setUp({ trustAd: true }).policyOf("own.test")).route.site).toBe("own.test#dane");
  });

  test("DANE goes before MTA-STS, one way and the other", async () => {
    const server = await sink(expired);
    sign(server.port, [tlsaOf(expired.chain[0]!, 3, 1, 1)]);
    zones["_mta-sts.good.test"] = { TXT: ["v=STSv1; id=1"] };
    web.answer = policyText("enforce", "elsewhere.test");
    const setup = setUp({ port: server.port, trustAd: true });
    const policy = await setup.policyOf("good.test");
    expect(policy).toMatchObject({ name: "DANE, MTA-STS enforce 1", route: { site: `${MX}#dane+sts` }, refusal: null });
    // Neither the name nor the authorities of MTA-STS matter to an exchanger with records.
    expect(await deliver(setup, "good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(await counted(setup.policies)).toMatchObject([{ policyType: "tlsa", result: "" }]);
    // And a policy that is met does not excuse records that are not.
    const valid = await sink(good);
    sign(valid.port, [wrong]);
    zones["_mta-sts.good.test"] = { TXT: ["v=STSv1; id=2"] };
    web.answer = policyText("enforce");
    const second = setUp({ port: valid.port, trustAd: true });
    expect(await deliver(second, "good.test", valid.port)).toMatchObject({ kind: "unreachable" });
    expect(valid.messages).toEqual([]);
  });
});

describe("reports", () => {
  test("a day of one domain, and who wants it", async () => {
    zones["_smtp._tls.good.test"] = { TXT: ["v=TLSRPTv1; rua=mailto:tls@good.test"] };
    const server = await sink(good);
    const setup = setUp();
    for (let i = 0; i < 3; i++) await deliver(setup, "good.test", server.port);
    const bad = await sink(expired);
    await deliver(setup, "good.test", bad.port);
    expect(await setup.policies.reportTo("GOOD.test")).toEqual(["mailto:tls@good.test"]);
    expect(await setup.policies.reportTo("second.test")).toEqual([]);
    const rows = await counted(setup.policies);
    const day = rows[0]!.day;
    expect(tlsReport(day, "good.test", rows, { organization: "Us", contact: "tls@us.test" })).toMatchObject({
      policies: [
        {
          policy: { "policy-type": "sts", "policy-domain": "good.test", "mx-host": [MX] },
          summary: { "total-successful-session-count": 3, "total-failure-session-count": 1 },
          "failure-details": [{ "result-type": "certificate-expired", "failed-session-count": 1 }],
        },
      ],
    });
  });

  test("an outcome that is not about TLS counts nothing", async () => {
    const setup = setUp();
    const made = await deliver(setup, "good.test", 1);
    expect(made).toMatchObject({ kind: "unreachable", stage: "connect" });
    expect(await counted(setup.policies)).toEqual([]);
  });
});

test("a route is handed on as it was when nobody asks for anything", async () => {
  const { policyOf, resolver } = setUp();
  const route = (await resolver.route("second.test")) as SiteRoute;
  expect(await policyOf("second.test")).toMatchObject({ name: "", refusal: null, route });
});
