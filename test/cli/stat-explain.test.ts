/** `postilion stat explain`: exchangers from a real DNS server, rules from files. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { askOf } from "../../src/cli/stat-ask.ts";
import { isWhole } from "../../src/cli/stat-explain.ts";
import { explainedText } from "../../src/cli/stat-explain-text.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { AFFINITIES, DNS, dns, explained, explainHere, folder, never } from "./stat-explain-parts.ts";

explainHere();

describe("without a server", () => {
  test("exchangers with their addresses, each rule for whom it is, every limit with its origin", async () => {
    const told = await explained("shop.example", AFFINITIES);
    expect(told.exchangers).toEqual([
      { mx: "mx1.shop.example", addresses: ["192.0.2.1", "192.0.2.2"], problem: "", unanswered: false },
      { mx: "mx2.other.example", addresses: ["192.0.2.9"], problem: "", unanswered: false },
    ]);
    // Public id 5 takes no mail to this domain.
    expect(told.publicIds).toEqual([1, 2]);
    expect(told.rules.map(({ id, exchangers, publicIds }) => [id, exchangers, publicIds])).toEqual([
      ["shop", ["mx1.shop.example"], [1, 2]],
      ["*", ["mx2.other.example"], [1]],
      ["shop-new", ["mx2.other.example"], [2]],
    ]);
    const limits = told.rules[0]?.limits ?? [];
    expect(limits).toContainEqual({ name: "messagesPerHour", value: 1200, origin: `${join(folder, "mx.yaml")}:7` });
    expect(limits).toContainEqual({ name: "dataMs", value: 0, origin: "built in" });
    expect(limits.find(({ name }) => name === "tls")?.origin).toMatch(/^ops\/rules\/mx\.yaml:\d+ \(defaults\)$/);
    // Scope path: two of our IPs, two of their addresses.
    expect(told.rules.map(({ counters }) => counters)).toEqual([4, 1, 1]);

    const text = explainedText(told);
    expect(text).toContain("shop.example: 2 exchangers");
    expect(text).toMatch(/^ {2}mx1\.shop\.example {4}192\.0\.2\.1, 192\.0\.2\.2$/m);
    expect(text).toMatch(/^rule shop {3}.*mx\.yaml:3 {3}for mx1\.shop\.example$/m);
    expect(text).toContain("  Agreed with their postmaster");
    expect(text).toMatch(/^ {2}messagesPerHour +1200 +.*mx\.yaml:7$/m);
    expect(text).toMatch(/^ {2}messagesPerDay +no limit +built in$/m);
    expect(text).toContain("Here that is 4 times: at most 12 connections and 4800 messages an hour in all.");
    expect(text).toMatch(/^rule shop-new {3}.* {3}for mx2\.other\.example from public id 2$/m);
    expect(text).toContain("What is at work now is not known: nobody is there");
  });
  test("one public id; an address instead of a domain; an exchanger itself", async () => {
    const one = await explained("Ann@Shop.Example.", AFFINITIES, { publicId: 2 });
    expect(one.target).toBe("shop.example");
    expect(one.rules.map(({ id }) => id)).toEqual(["shop", "shop-new"]);
    const own = await explained("mx1.shop.example");
    expect(own).toMatchObject({ way: "has no MX records: it is its own exchanger", publicIds: [0] });
    expect(own.rules.map(({ id }) => id)).toEqual(["shop"]);
  });
  test("a DNS that does not answer: said so, and nothing is guessed", async () => {
    for (const [target, text] of [
      [
        "gone.example",
        /^gone\.example: the DNS does not say where its mail goes: the DNS server failed: MX gone\.example$/m,
      ],
      [
        "mute.example",
        /^mute\.example: the DNS does not say where its mail goes: the DNS does not answer: MX mute\.example$/m,
      ],
    ] as const) {
      const told = await explained(target, { dns: { ...DNS(), timeoutMs: 100, tries: 1 } }, {}, never);
      expect(told).toMatchObject({ route: "unanswered", exchangers: [], rules: [] });
      expect(isWhole(told)).toBe(false);
      expect(explainedText(told)).toMatch(text);
      expect(explainedText(told)).not.toMatch(/^rule /m);
    }
  });
  test("an exchanger whose addresses the DNS does not say now: its rule is told, what is missing too", async () => {
    const told = await explained("half.example");
    expect(told.exchangers.map(({ mx, unanswered }) => [mx, unanswered])).toEqual([
      ["mx1.shop.example", false],
      ["gone.example", true],
    ]);
    expect(isWhole(told)).toBe(false);
    expect(explainedText(told)).toMatch(/^ {2}gone\.example +not known now: the DNS server failed: /m);
    expect(told.rules.map(({ id }) => id)).toEqual(["shop", "*"]);
  });
  test("a DNS that says that there is no such domain, or that it takes no mail", async () => {
    const unknown = await explained("aspmx.l.google.com", {}, {}, never);
    expect(unknown).toMatchObject({ route: "none", exchangers: [], rules: [] });
    expect(isWhole(unknown)).toBe(false);
    expect(explainedText(unknown)).toBe(
      "aspmx.l.google.com: no mail goes there: no such domain: aspmx.l.google.com (5.1.2)\n" +
        "If this is the name of an exchanger: postilion stat explain --exchanger aspmx.l.google.com",
    );
    expect(explainedText(await explained("null.example"))).toMatch(
      /the domain takes no mail: null\.example \(5\.1\.10\)/,
    );
  });
  test("an exchanger that is named as one: its MX records are not asked for, and every IP may take mail to it", async () => {
    const asked = dns.queries.length;
    const told = await explained("MX1.Shop.Example.", AFFINITIES, { exchanger: true });
    expect(told.exchangers).toMatchObject([{ mx: "mx1.shop.example", addresses: ["192.0.2.1", "192.0.2.2"] }]);
    expect(told).toMatchObject({ route: "site", publicIds: [1, 2, 5] });
    expect(told.rules.map(({ id }) => id)).toEqual(["shop"]);
    expect(isWhole(told)).toBe(true);
    expect(dns.queries.slice(asked).filter((query) => query.startsWith("MX"))).toEqual([]);
    // What the DNS does not know has a rule all the same.
    const unknown = await explained("aspmx.l.google.com", {}, { exchanger: true });
    expect(unknown.rules.map(({ id }) => id)).toEqual(["google"]);
    expect(explainedText(unknown)).toContain("aspmx.l.google.com   (no address: aspmx.l.google.com)");
    // No relay is meant either.
    const direct = await explained("mx1.shop.example", { relay: { host: "plain.example" } }, { exchanger: true });
    expect(direct.exchangers[0]?.mx).toBe("mx1.shop.example");
    const gone = await explained("gone.example", {}, { exchanger: true });
    expect(isWhole(gone)).toBe(false);
  });
  test("hostile names end up harmless", async () => {
    const told = await explained("evil\u001b[2J.example");
    expect(explainedText(told)).not.toContain("\u001b");
    expect((await explained("Bücher.example")).target).toBe("xn--bcher-kva.example");
    await expect(explained("@")).rejects.toThrow(UsageError);
  });
  test("a relay takes all mail", async () => {
    const told = await explained("shop.example", { relay: { host: "Plain.example" } });
    expect(told.way).toContain("mta.relay.host");
    expect(told.exchangers).toMatchObject([{ mx: "plain.example", addresses: ["192.0.2.77"] }]);
  });
  test("a domain that no IP of any affinity may send to", async () => {
    const told = await explained("shop.example", {
      affinities: [{ name: "a", ips: [{ excludeDomains: ["shop.*"] }] }],
    });
    expect(told.publicIds).toEqual([]);
    expect(explainedText(told)).toContain("No IP of any affinity may send to it");
  });
  test("no secret is made by asking", async () => {
    const settings = parseSettings({ dataDir: join(folder, "fresh"), stat: { port: 1 } });
    const answer = await askOf(settings)("explain", { mx: "x.example", publicId: 0 });
    expect(answer).toEqual({ why: expect.stringContaining("no statistics server has run") });
  });
});
