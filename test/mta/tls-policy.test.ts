/** MTA-STS from a domain to what leaves, with everything real: DNS, HTTPS, SMTP with TLS, PostgreSQL. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { findPolicy } from "../../src/db/mta-sts.ts";
import { settle } from "../../src/model/settle.ts";
import type { SiteRoute } from "../../src/mta/tls-policy/contract.ts";
import { tlsReport } from "../../src/smtp/tls-report.ts";
import { shippedBounces } from "../support/bounce-rules.ts";
import { expired, good, type TestCertificate } from "../support/certificates.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { MX, openTlsWorld, policyText, type TlsWorld } from "../support/tls-world.ts";

let db: TestDatabase;
let world: TlsWorld;
beforeAll(async () => void (db = await openTestDatabase()));
afterAll(() => db.close());
beforeEach(async () => void (world = await openTlsWorld(db)));
afterEach(() => world.close());

describe("MTA-STS", () => {
  test("enforced: over TLS to the right one; kept for all machines; counted", async () => {
    const server = await world.sink(good);
    const setup = world.setUp();
    const policy = await setup.policyOf("GOOD.test.");
    expect(policy).toMatchObject({
      domain: "good.test",
      name: "MTA-STS enforce 1",
      refusal: null,
      route: { site: `${MX}#sts` },
    });
    expect(await setup.deliver("good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(server.messages).toMatchObject([{ secure: true }]);
    expect(world.web.requests).toEqual(["mta-sts.good.test /.well-known/mta-sts.txt"]);
    expect(await findPolicy(db.sql, "good.test")).toMatchObject({ id: "1", body: policyText("enforce") });
    expect(await setup.counted()).toMatchObject([
      { policyType: "sts", policy: policyText("enforce"), mx: MX, receivingIp: "127.0.0.1", result: "", sessions: 1 },
    ]);
  });

  test.each<[string, TestCertificate | undefined, boolean, string]>([
    ["STARTTLS taken away", good, false, "starttls-not-supported"],
    ["an expired certificate", expired, true, "certificate-expired"],
    ["a self-signed certificate", undefined, true, "certificate-not-trusted"],
  ])("enforced, %s: deferred, not sent, counted once", async (_name, certificate, starttls, result) => {
    const server = await world.sink(certificate, starttls);
    const setup = world.setUp();
    const made = await setup.deliver("good.test", server.port);
    expect(made).toMatchObject({ kind: "unreachable", stage: "starttls", enhanced: "4.7.5", mx: MX });
    const attempted = {
      attempts: 0,
      moves: 9,
      deliveredBefore: 0,
      retry: [60],
      deadline: 9e15,
      inDoubt: "retry",
    } as const;
    expect(settle(made, attempted, 0, 0.5, shippedBounces().judge)).toMatchObject({
      next: "record",
      status: "deferred",
    });
    expect(server.messages).toEqual([]);
    expect(await setup.counted()).toMatchObject([{ policyType: "sts", result, sessions: 1, mx: MX }]);
  });

  test("the neighbour on the same exchanger has its own lane, and goes as ever", async () => {
    const server = await world.sink(expired);
    const setup = world.setUp();
    expect((await setup.policyOf("second.test")).route.site).toBe(MX);
    expect(await setup.deliver("second.test", server.port)).toMatchObject({ kind: "accepted" });
    expect((await setup.policyOf("good.test")).route.site).toBe(`${MX}#sts`);
    expect(await setup.counted("second.test")).toEqual([]);
  });

  test("two domains that ask the same share a lane", async () => {
    world.zones["mta-sts.second.test"] = { A: ["127.0.0.1"] };
    world.zones["_mta-sts.second.test"] = { TXT: ["v=STSv1; id=7"] };
    const { policyOf } = world.setUp();
    const [a, b] = [await policyOf("good.test"), await policyOf("second.test")];
    expect(a.route.site).toBe(b.route.site);
    expect(await a.demand(MX)).toEqual(await b.demand(MX));
  });

  test("an exchanger that is not in the policy is left out; none left: refused, deferred at once, counted", async () => {
    world.zones["good.test"] = {
      MX: [
        [5, "evil.test"],
        [10, MX],
      ],
    };
    world.zones["evil.test"] = { A: ["127.0.0.1"] };
    const setup = world.setUp();
    const some = await setup.policyOf("good.test");
    expect(some.route).toMatchObject({ site: `${MX}#sts`, exchangers: [{ name: MX }] });
    expect(await some.demand("evil.test")).toMatchObject({
      refused: expect.stringContaining("does not have evil.test"),
    });
    world.zones["good.test"] = { MX: [[5, "evil.test"]] };
    const none = world.setUp();
    const made = await none.deliver("good.test", 1);
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
    expect(settle(made, attempted, 0, 0.5, shippedBounces().judge)).toMatchObject({
      next: "record",
      status: "deferred",
    });
    expect(await none.counted()).toMatchObject([{ policyType: "sts", result: "validation-failure", sessions: 1 }]);
  });

  test.each<[string, TestCertificate | undefined, boolean, string]>([
    ["all well", good, true, ""],
    ["no STARTTLS", good, false, "starttls-not-supported"],
    ["expired", expired, true, "certificate-expired"],
    ["self-signed", undefined, true, "certificate-not-trusted"],
  ])("testing, %s: sent anyway, counted, in the common lane", async (_name, certificate, starttls, result) => {
    world.web.answer = policyText("testing");
    const server = await world.sink(certificate, starttls);
    const setup = world.setUp();
    expect(await setup.policyOf("good.test")).toMatchObject({ name: "MTA-STS testing 1", route: { site: MX } });
    expect(await setup.deliver("good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(await setup.counted()).toMatchObject([{ policyType: "sts", result, sessions: 1 }]);
  });

  test("testing, another exchanger than the policy's: sent, counted", async () => {
    world.web.answer = policyText("testing", "*.elsewhere.test");
    const server = await world.sink(good);
    const setup = world.setUp();
    expect(await setup.deliver("good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(await setup.counted()).toMatchObject([
      { result: "validation-failure", reason: "the exchanger is not in the policy" },
    ]);
  });

  test.each<[string, () => void, string]>([
    ["a policy of a megabyte", () => void (world.web.answer = "x".repeat(1_000_000)), "sts-policy-fetch-error"],
    [
      "a redirect to a good one",
      () =>
        void (world.web.answer = (request, response) => {
          if (request.url === "/good")
            response.writeHead(200, { "content-type": "text/plain" }).end(policyText("enforce"));
          else response.writeHead(302, { location: "/good" }).end();
        }),
      "sts-policy-fetch-error",
    ],
    [
      "another content type",
      () =>
        void (world.web.answer = (_q, r) =>
          void r.writeHead(200, { "content-type": "text/html" }).end(policyText("enforce"))),
      "sts-policy-fetch-error",
    ],
    ["an mx line that is none", () => void (world.web.answer = policyText("enforce", "*")), "sts-policy-invalid"],
    [
      "a policy host without certificate for the name",
      () => void (world.zones["mta-sts.good.test"] = { CNAME: "mx2.good.test" }),
      "",
    ],
    ["no policy host", () => void delete world.zones["mta-sts.good.test"], "sts-policy-fetch-error"],
  ])("%s", async (_name, prepare, result) => {
    prepare();
    const setup = world.setUp();
    const policy = await setup.policyOf("good.test");
    // An alias is nobody's business: the name asked for is what the certificate must have.
    expect(policy.name).toBe(result === "" ? "MTA-STS enforce 1" : "");
    expect(policy.route.site).toBe(result === "" ? `${MX}#sts` : MX);
    expect((await setup.counted()).map((row) => row.result)).toEqual(result === "" ? [] : [result]);
  });

  test("the policy's server shows another's certificate: sts-webpki-invalid", async () => {
    world.zones["third.test"] = { MX: [[10, MX]] };
    world.zones["_mta-sts.third.test"] = { TXT: ["v=STSv1; id=1"] };
    world.zones["mta-sts.third.test"] = { A: ["127.0.0.1"] };
    const setup = world.setUp();
    expect((await setup.policyOf("third.test")).name).toBe("");
    expect(world.web.requests).toEqual([]);
    expect(await setup.counted("third.test")).toMatchObject([{ result: "sts-webpki-invalid" }]);
  });

  test("a policy host at a private address is not called", async () => {
    const setup = world.setUp({ privateAddresses: false });
    expect((await setup.policyOf("good.test")).name).toBe("");
    expect(world.web.requests).toEqual([]);
    expect(await setup.counted()).toMatchObject([
      { result: "sts-policy-fetch-error", reason: "mta-sts.good.test has only private addresses" },
    ]);
  });

  test("the TXT record twice: no policy, nothing fetched", async () => {
    world.zones["_mta-sts.good.test"] = { TXT: ["v=STSv1; id=1", "v=STSv1; id=2"] };
    const { policyOf } = world.setUp();
    expect((await policyOf("good.test")).name).toBe("");
    expect(world.web.requests).toEqual([]);
  });

  test("mode none is no policy", async () => {
    world.web.answer = "version: STSv1\nmode: none\nmax_age: 86400\n";
    const { policyOf } = world.setUp();
    expect(await policyOf("good.test")).toMatchObject({ name: "", route: { site: MX } });
  });
});

describe("reports", () => {
  test("a day of one domain, and who wants it", async () => {
    world.zones["_smtp._tls.good.test"] = { TXT: ["v=TLSRPTv1; rua=mailto:tls@good.test"] };
    const server = await world.sink(good);
    const setup = world.setUp();
    for (let i = 0; i < 3; i++) await setup.deliver("good.test", server.port);
    const bad = await world.sink(expired);
    await setup.deliver("good.test", bad.port);
    expect(await setup.policies.reportTo("GOOD.test")).toEqual(["mailto:tls@good.test"]);
    expect(await setup.policies.reportTo("second.test")).toEqual([]);
    const rows = await setup.counted();
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
    const setup = world.setUp();
    const made = await setup.deliver("good.test", 1);
    expect(made).toMatchObject({ kind: "unreachable", stage: "connect" });
    expect(await setup.counted()).toEqual([]);
  });
});

test("a route is handed on as it was when nobody asks for anything", async () => {
  const { policyOf, resolver } = world.setUp();
  const route = (await resolver.route("second.test")) as SiteRoute;
  expect(await policyOf("second.test")).toMatchObject({ name: "", refusal: null, route });
});
