/** DANE from a domain to what leaves, with everything real: DNS, HTTPS, SMTP with TLS, PostgreSQL. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { expired, good, tlsaOf } from "../../support/certificates.ts";
import { openTestDatabase, type TestDatabase } from "../../support/database.ts";
import { MX, openTlsWorld, policyText, type TlsWorld } from "../../support/tls-world.ts";

let db: TestDatabase;
let world: TlsWorld;
beforeAll(async () => void (db = await openTestDatabase()));
afterAll(() => db.close());
beforeEach(async () => void (world = await openTlsWorld(db)));
afterEach(() => world.close());

describe("DANE", () => {
  const recordsAt = (port: number, mx = MX): string => `_${port}._tcp.${mx}`;
  /** Everything signed, with these records for the exchanger. */
  function sign(port: number, records: readonly string[]): void {
    delete world.zones["_mta-sts.good.test"];
    world.zones["good.test"] = { ...world.zones["good.test"], secure: true };
    world.zones[MX] = { A: ["127.0.0.1"], secure: true };
    world.zones[recordsAt(port)] = { TLSA: records, secure: true };
  }
  const right = tlsaOf(good.chain[0]!, 3, 1, 1);
  const wrong = tlsaOf(expired.chain[0]!, 3, 1, 1);

  test("records that match: sent, counted as tlsa", async () => {
    const server = await world.sink(good);
    sign(server.port, [right]);
    const setup = world.setUp({ port: server.port, trustAd: true });
    expect(await setup.policyOf("good.test")).toMatchObject({
      name: "DANE",
      route: { site: `${MX}#dane`, secure: true },
    });
    expect(await setup.deliver("good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(await setup.counted()).toMatchObject([{ policyType: "tlsa", policy: right, result: "", sessions: 1 }]);
  });

  test("records that do not: deferred, although the certificate is valid by the Web", async () => {
    const server = await world.sink(good);
    sign(server.port, [wrong]);
    const setup = world.setUp({ port: server.port, trustAd: true });
    expect(await setup.deliver("good.test", server.port)).toMatchObject({ kind: "unreachable", enhanced: "4.7.5" });
    expect(server.messages).toEqual([]);
    expect(await setup.counted()).toMatchObject([{ policyType: "tlsa", result: "validation-failure" }]);
  });

  test("STARTTLS taken away: deferred", async () => {
    const server = await world.sink(good, false);
    sign(server.port, [right]);
    const setup = world.setUp({ port: server.port, trustAd: true });
    expect(await setup.deliver("good.test", server.port)).toMatchObject({ kind: "unreachable", stage: "starttls" });
    expect(server.messages).toEqual([]);
    expect(await setup.counted()).toMatchObject([{ policyType: "tlsa", result: "starttls-not-supported" }]);
  });

  test("garbage in the records: TLS is demanded, with any certificate", async () => {
    const server = await world.sink(expired);
    sign(server.port, ["3 1 1 00", "0 0 0 ff", "255 255 255 00"]);
    const setup = world.setUp({ port: server.port, trustAd: true });
    expect(await (await setup.policyOf("good.test")).demand(MX)).toMatchObject({ check: { kind: "any" } });
    expect(await setup.deliver("good.test", server.port)).toMatchObject({
      kind: "accepted",
      tls: expect.stringContaining("TLS"),
    });
    const clear = await world.sink(undefined, false);
    sign(clear.port, ["3 1 1 00"]);
    const second = world.setUp({ port: clear.port, trustAd: true });
    expect(await second.deliver("good.test", clear.port)).toMatchObject({ kind: "unreachable" });
  });

  test.each<[string, (port: number) => void]>([
    ["the resolver is not trusted", () => {}],
    ["AD is missing for the MX records", () => void (world.zones["good.test"] = { MX: [[10, MX]] })],
    ["AD is missing for the address", () => void (world.zones[MX] = { A: ["127.0.0.1"] })],
    ["AD is missing for the TLSA records", (port) => void (world.zones[recordsAt(port)] = { TLSA: [wrong] })],
    ["there are none", (port) => void delete world.zones[recordsAt(port)]],
  ])("%s: no DANE, mail goes as ever", async (name, prepare) => {
    const server = await world.sink(good);
    sign(server.port, [wrong]);
    prepare(server.port);
    const setup = world.setUp({ port: server.port, trustAd: !name.includes("not trusted") });
    expect((await setup.policyOf("good.test")).route.site).toBe(MX);
    expect(await setup.deliver("good.test", server.port)).toMatchObject({ kind: "accepted" });
    if (name.includes("address") || name.includes("MX"))
      expect(world.dns.queries.filter((query) => query.startsWith("TLSA"))).toEqual([]);
  });

  test.each(["SERVFAIL", "REFUSED", "silence"] as const)(
    "%s for the TLSA records: that exchanger is not used",
    async (how) => {
      const server = await world.sink(good);
      sign(server.port, [right]);
      world.zones[recordsAt(server.port)] = how === "silence" ? { silent: true } : { rcode: how };
      const setup = world.setUp({ port: server.port, trustAd: true });
      const made = await setup.deliver("good.test", server.port);
      expect(made).toMatchObject({
        kind: "unreachable",
        stage: "resolve",
        enhanced: "4.7.5",
        text: expect.stringContaining("DANE"),
      });
      expect(server.messages).toEqual([]);
      expect(await setup.counted()).toMatchObject([{ policyType: "tlsa", result: "dnssec-invalid", mx: MX }]);
    },
  );

  test("an exchanger of several: the one without records goes as ever, the other is demanded of", async () => {
    sign(25, [right]);
    world.zones["good.test"] = {
      MX: [
        [10, MX],
        [20, "mx2.good.test"],
      ],
      secure: true,
    };
    world.zones["mx2.good.test"] = { A: ["127.0.0.1"], secure: true };
    const policy = await world.setUp({ trustAd: true }).policyOf("good.test");
    expect(policy.route.site).toBe(`${MX},mx2.good.test#dane`);
    expect(await policy.demand(MX)).toMatchObject({ check: { kind: "dane" } });
    expect(await policy.demand("mx2.good.test")).toBeNull();
  });

  test("an alias: the records of its end first, then its own", async () => {
    sign(25, [right]);
    world.zones[MX] = { CNAME: "host.good.test", secure: true };
    world.zones["host.good.test"] = { A: ["127.0.0.1"], secure: true };
    const { policyOf } = world.setUp({ trustAd: true });
    expect(await (await policyOf("good.test")).demand(MX)).toMatchObject({ check: { name: MX, names: [MX] } });
    world.zones[recordsAt(25, "host.good.test")] = { TLSA: [wrong], secure: true };
    expect(await (await policyOf("good.test")).demand(MX)).toMatchObject({
      check: { name: "host.good.test", names: ["host.good.test", MX] },
    });
  });

  test("no MX: the domain is its own exchanger", async () => {
    world.zones["own.test"] = { A: ["127.0.0.1"], secure: true };
    world.zones[recordsAt(25, "own.test")] = { TLSA: [right], secure: true };
    expect((await world.setUp({ trustAd: true }).policyOf("own.test")).route.site).toBe("own.test#dane");
  });

  test("DANE goes before MTA-STS, one way and the other", async () => {
    const server = await world.sink(expired);
    sign(server.port, [tlsaOf(expired.chain[0]!, 3, 1, 1)]);
    world.zones["_mta-sts.good.test"] = { TXT: ["v=STSv1; id=1"] };
    world.web.answer = policyText("enforce", "elsewhere.test");
    const setup = world.setUp({ port: server.port, trustAd: true });
    const policy = await setup.policyOf("good.test");
    expect(policy).toMatchObject({ name: "DANE, MTA-STS enforce 1", route: { site: `${MX}#dane+sts` }, refusal: null });
    // Neither the name nor the authorities of MTA-STS matter to an exchanger with records.
    expect(await setup.deliver("good.test", server.port)).toMatchObject({ kind: "accepted" });
    expect(await setup.counted()).toMatchObject([{ policyType: "tlsa", result: "" }]);
    // And a policy that is met does not excuse records that are not.
    const valid = await world.sink(good);
    sign(valid.port, [wrong]);
    world.zones["_mta-sts.good.test"] = { TXT: ["v=STSv1; id=2"] };
    world.web.answer = policyText("enforce");
    const second = world.setUp({ port: valid.port, trustAd: true });
    expect(await second.deliver("good.test", valid.port)).toMatchObject({ kind: "unreachable" });
    expect(valid.messages).toEqual([]);
  });
});
