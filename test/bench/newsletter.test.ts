/** The sample content is what the benches say it is: anything else would make their numbers mean something else. */
import { describe, expect, test } from "vitest";
import { BIG_NEWSLETTER, bigNewsletter, NEWSLETTER, newsletter, recipient } from "../../bench/newsletter.ts";

const count = (text: string, what: RegExp): number => text.match(what)?.length ?? 0;

describe("newsletter", () => {
  test("has 11 KB, 240 substitutions and 60 links", () => {
    const { html } = newsletter();
    expect(Math.abs(Buffer.byteLength(html) / NEWSLETTER.bytes - 1)).toBeLessThan(0.03);
    expect(count(html, /\{\{\w+\}\}/g)).toBe(NEWSLETTER.substitutions);
    expect(count(html, /\{\{/g)).toBe(NEWSLETTER.substitutions);
    expect(count(html, /<a href="https:/g)).toBe(NEWSLETTER.links);
    expect(count(html, /href=/g)).toBe(NEWSLETTER.links);
  });

  test("uses every variable a recipient has, and none that it has not", () => {
    const { subject, html, text } = newsletter();
    const used = new Set([...`${subject}${html}${text}`.matchAll(/\{\{(\w+)\}\}/g)].map((match) => match[1]));
    expect([...used].sort()).toEqual(Object.keys(recipient(0, 1, ["a.example"]).variables).sort());
  });
});

test.each([0, 20, 80])("the big one has 100 KB and 80 links, %i of them with a code", (personalised) => {
  const { html } = bigNewsletter(personalised);
  expect(Math.abs(Buffer.byteLength(html) / BIG_NEWSLETTER.bytes - 1)).toBeLessThan(0.05);
  expect(count(html, /<a href="https:/g)).toBe(BIG_NEWSLETTER.links);
  expect(count(html, /c=\{\{code\}\}"/g)).toBe(personalised);
});

describe("recipient", () => {
  test("is the same for the same number and seed, another one otherwise", () => {
    expect(recipient(17, 3, ["a.example"])).toEqual(recipient(17, 3, ["a.example"]));
    expect(recipient(17, 4, ["a.example"]).variables).not.toEqual(recipient(17, 3, ["a.example"]).variables);
  });

  test("has an address of its own, in plain ASCII, and spreads over the domains", () => {
    const domains = ["a.example", "b.example", "c.example", "c.example"];
    const seen = new Map<string, number>();
    const addresses = new Set<string>();
    for (let i = 0; i < 4000; i++) {
      const { address } = recipient(i, 1, domains);
      expect(address).toMatch(/^[a-z]+\.\d+@[abc]\.example$/);
      addresses.add(address);
      const domain = address.slice(address.indexOf("@") + 1);
      seen.set(domain, (seen.get(domain) ?? 0) + 1);
    }
    expect(addresses.size).toBe(4000);
    expect(seen.get("a.example")).toBeGreaterThan(850);
    expect(seen.get("c.example")).toBeGreaterThan(1800);
  });
});
