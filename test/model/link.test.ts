/** Tracked links: what is signed comes back, and nothing else does. */
import { createHmac } from "node:crypto";
import { describe, expect, test } from "vitest";
import { fromBase32 } from "../../src/model/base32.ts";
import { type Link, MOST_URL, signLink, targetOf, verifyLink } from "../../src/model/link.ts";

const key = { id: 7, secret: Buffer.alloc(32, 1) };
const other = { id: 8, secret: Buffer.alloc(32, 2) };
const link = (over: Partial<Link> = {}): Link => ({
  kind: "click",
  delivery: 5,
  number: 3,
  url: "https://shop.example.com/a?b=1&c=%20",
  ...over,
});

describe("a link", () => {
  test.each<Partial<Link>>([
    {},
    { url: "https://www.example.com/" },
    { url: "http://example.com" },
    { url: "HTTPS://Example.com/Path" },
    { kind: "open", number: 0, url: "" },
    { kind: "trap", number: 127 },
    { delivery: 0 },
    { delivery: 128, number: 16_384 },
    { delivery: 2 ** 52 },
    { url: `https://example.com/${"x".repeat(MOST_URL - 20)}` },
  ])("comes back as it was signed: %o", (over) => {
    const text = signLink(key, link(over));
    expect(text).toMatch(/^[a-z2-7]+$/);
    expect(verifyLink([other, key], text)).toEqual(link(over));
  });

  test.each([1, 32, 63, 64, 65, 200])(
    "ends with an HMAC-SHA256 cut to 80 bits, whatever the key's length: %i",
    (length) => {
      const long = { id: 9, secret: Buffer.alloc(length, 5) };
      for (const url of ["", "https://example.com/", `https://example.com/${"x".repeat(4000)}`]) {
        const bytes = fromBase32(signLink(long, link({ url }))) ?? Buffer.alloc(0);
        const whole = createHmac("sha256", long.secret)
          .update("postilion link\0")
          .update(bytes.subarray(0, -10))
          .digest();
        expect(bytes.subarray(-10)).toEqual(whole.subarray(0, 10));
      }
    },
  );

  test("longer than any URL that is tracked is not made", () => {
    expect(() => signLink(key, link({ url: `https://example.com/${"x".repeat(MOST_URL)}` }))).toThrow(RangeError);
  });

  test("survives a gateway that changes the case of the URL", () => {
    expect(verifyLink([key], signLink(key, link()).toUpperCase())).toEqual(link());
  });

  test("is refused with any single character changed, cut or added", () => {
    const text = signLink(key, link());
    for (let i = 0; i < text.length; i++) {
      const changed = text[i] === "a" ? "b" : "a";
      expect(verifyLink([key], text.slice(0, i) + changed + text.slice(i + 1)), `at ${i}`).toBeNull();
      expect(verifyLink([key], text.slice(0, i) + text.slice(i + 1)), `without ${i}`).toBeNull();
    }
    expect(verifyLink([key], `${text}a`)).toBeNull();
  });

  test.each(["", "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "!", "a".repeat(1_000_000), "%2e%2e", "ä".repeat(40)])(
    "is nothing else: %#",
    (text) => expect(verifyLink([key], text)).toBeNull(),
  );

  test("is refused once its key is gone, and under another key of the same number", () => {
    const text = signLink(key, link());
    expect(verifyLink([other], text)).toBeNull();
    expect(verifyLink([], text)).toBeNull();
    expect(verifyLink([{ ...other, id: key.id }], text)).toBeNull();
  });
});

describe("a target", () => {
  test.each([
    ["https://example.com", "https://example.com"],
    ["http://example.com:8080/a;b?c=d&e=%41#f", "http://example.com:8080/a;b?c=d&e=%41#f"],
    ["https://example.com/?mail=a@b.example", "https://example.com/?mail=a@b.example"],
    ["https://bücher.example/straße?ü#ä", "https://xn--bcher-kva.example/stra%C3%9Fe?%C3%BC#%C3%A4"],
  ])("is taken: %s", (given, wire) => expect(targetOf(given)).toEqual({ url: wire }));

  test.each([
    "javascript:alert(1)",
    "data:text/html,hello",
    "//evil.example/",
    "/relative",
    "mailto:a@b.example",
    "https:/evil.example",
    "https:///evil.example",
    "https://good.example@evil.example/",
    "https://user:password@evil.example/",
    "https://good.example\\@evil.example/",
    "https://evil.example/\r\nSet-Cookie: a=b",
    "https://evil.example/a b",
    "https://evil.example/\u0000",
    " https://evil.example/",
    "https://exa mple.com/",
    "https://[::1/",
    "",
    `https://example.com/${"x".repeat(10_000)}`,
  ])("is refused: %j", (url) => expect(targetOf(url)).toHaveProperty("refused"));
});
