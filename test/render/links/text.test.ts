/** URLs in plain text: where people begin and end them, and templates in them. */
import { describe, expect, test } from "vitest";
import { print, resolve, trackedText } from "../../support/tracked.ts";

describe("a URL ends where a reader would end it", () => {
  test.each<[string, string]>([
    ["https://x.example/a", "[1 https://x.example/a]"],
    ["See https://x.example/a.", "See [1 https://x.example/a]."],
    [
      "https://x.example/a, https://x.example/b; http://x.example",
      "[1 https://x.example/a], [2 https://x.example/b]; [3 http://x.example]",
    ],
    ["(https://x.example/a)", "([1 https://x.example/a])"],
    ["(see https://x.example/a_(b)?c=(d)).", "(see [1 https://x.example/a_(b)?c=(d)])."],
    [
      "[https://x.example/a] {https://x.example/b} <https://x.example/c>",
      "[[1 https://x.example/a]] {[2 https://x.example/b]} <[3 https://x.example/c]>",
    ],
    ["https://x.example/?a[]=1&b[0]=2", "[1 https://x.example/?a[]=1&b[0]=2]"],
    ["http://[2001:db8::1]/a", "[1 http://[2001:db8::1]/a]"],
    [
      `"https://x.example/a" 'https://x.example/b' “https://x.example/c” «https://x.example/d»`,
      `"[1 https://x.example/a]" '[2 https://x.example/b]' “[3 https://x.example/c]” «[4 https://x.example/d]»`,
    ],
    [
      "Really?https://x.example/a?!… *https://x.example/b*",
      "Really?[1 https://x.example/a]?!… *[2 https://x.example/b]*",
    ],
    [
      "HTTPS://X.EXAMPLE/A\r\nhttps://x.example/b\n\nhttps://x.example/c\t.",
      "[1 HTTPS://X.EXAMPLE/A]\r\n[2 https://x.example/b]\n\n[3 https://x.example/c]\t.",
    ],
    ["https://x.example/#a?b,c;d", "[1 https://x.example/#a?b,c;d]"],
    ["https://bücher.example/ü。", "[1 https://xn--bcher-kva.example/%C3%BC]。"],
    ["https://x.example/?u=https://y.example/", "[1 https://x.example/?u=https://y.example/]"],
    ["| https://x.example/ |", "| [1 https://x.example/] |"],
  ])("%s", (text, sent) => {
    expect(trackedText(text)).toBe(sent);
  });

  test.each([
    "www.x.example/a",
    "https://",
    "https:// x",
    "xhttps://x.example/",
    "ftp://x.example/ mailto:a@x.example",
    "https://user@x.example/",
    "https://t.example.com/u/abc",
    "https://x.example:99999/",
    `https://x.example/${"a".repeat(5000)}`,
  ])("left alone: %.40s", (text) => {
    expect(trackedText(text)).toBe(text);
  });
});

const VARIABLES = {
  url: "https://v.example/?a=1&b=2",
  code: "c-1",
  name: "Ann Lee",
  yes: true,
  dot: "x.",
  list: [{ link: "https://l.example/1" }, { link: "none" }],
};

describe("templates", () => {
  test.each<[string, string]>([
    ["https://x.example/{{code}}.", "[1 https://x.example/c-1]."],
    ["(https://x.example/{{code}}/?n={{urlEncode name}})", "([1 https://x.example/c-1/?n=Ann%20Lee])"],
    ["Shop: {{url}}, {{code}}", "Shop: [1 https://v.example/?a=1&b=2], c-1"],
    ["{{#each list}}{{link}}\n{{/each}}", "[1 https://l.example/1]\nnone\n"],
    ["{{url}}/more?x", "[1 https://v.example/?a=1&b=2/more?x]"],
    ["https://{{missing}}x.example/", "[1 https://x.example/]"],
    ["https://x.example/{{#if yes}}a{{else}}b{{/if}}/c d", "[1 https://x.example/a/c] d"],
    ["https://x.example/{{#if yes}} more{{/if}} end", "[1 https://x.example/] more end"],
    ["{{#if yes}}https://x.example/a.{{else}}https://x.example/b{{/if}} end", "[1 https://x.example/a]. end"],
    // What an expression prints may end the URL.
    ["https://x.example/{{name}} end", "[1 https://x.example/Ann] Lee end"],
    ["https://x.example/{{dot}} end", "[1 https://x.example/x]. end"],
    [
      "({{url}}) <{{url}}> {{name}}{{url}}",
      "([1 https://v.example/?a=1&b=2]) <[2 https://v.example/?a=1&b=2]> Ann Leehttps://v.example/?a=1&b=2",
    ],
  ])("%s", (text, sent) => {
    expect(trackedText(text, VARIABLES)).toBe(sent);
  });

  test("behind a long row of blocks", () => {
    const text = `https://x.example/${"{{#if no}}{{/if}}".repeat(2000)}. end`;
    expect(trackedText(text, VARIABLES)).toBe("[1 https://x.example/]. end");
  });

  test.each(
    [
      "https://x.example/{{#if yes}}a and more{{/if}}",
      "https://x.example/{{#if no}} more{{else}}b{{/if}} end",
      "https://x.example/{{#if no}} more{{/if}}b",
      `https://x.example/{{#if no}} x{{/if}}${"{{#if no}}{{/if}}".repeat(2000)} end`,
      "{{unsubscribeUrl}} {{mirrorUrl}}",
      "{{code}} {{name}} {{missingUrl}}",
    ].map((text) => [text.slice(0, 60), text] as const),
  )("left alone, where it cannot be known: %s", (_begin, text) => {
    expect(trackedText(text, VARIABLES)).toBe(print({ text }, {}, VARIABLES).text);
  });

  test("an expression that is an address in the HTML is one in the text too, whatever its name", () => {
    const both = { html: '<a href="{{shop}}">Shop</a>', text: "Shop: {{shop}}" };
    const made = print(both, { textLinks: true }, { shop: "https://s.example/" });
    expect(resolve(made.text)).toBe("Shop: [2 https://s.example/]");
    expect(resolve(print({ text: both.text }, { textLinks: true }, { shop: "https://s.example/" }).text)).toBe(
      "Shop: https://s.example/",
    );
  });
});

describe("a text that is made from the HTML", () => {
  const html = `<p>Our <a href="https://x.example/{{code}}?a&amp;b">shop</a></p>`;
  test("has the URLs that were written", () => {
    expect(print({ html, textFromHtml: true }, {}, VARIABLES).text).toBe("Our shop [https://x.example/c-1?a&b]\n");
  });
  test("has tracked ones where it is asked for, with numbers of their own", () => {
    const made = print({ html, textFromHtml: true }, { textLinks: true }, VARIABLES);
    expect(resolve(made.text)).toBe("Our shop [[2 https://x.example/c-1?a&b]]\n");
    expect(made.links.map(({ part, number }) => `${number} ${part}`)).toEqual(["1 html", "2 text"]);
  });
  test("made anew for each message, has those that were written", () => {
    const made = print(
      { html: `{{{raw}}}${html}`, textFromHtml: true },
      { textLinks: true, opens: true, trap: true },
      { ...VARIABLES, raw: "<b>x</b>" },
    );
    expect(made.text).toBe("x\n\nOur shop [https://x.example/c-1?a&b]\n");
    expect(resolve(made.html)).toContain("[1 https://x.example/c-1?a&b]");
  });
});

test("without textLinks the text is not looked at, nor its links counted", () => {
  const made = print({ text: "https://x.example/" });
  expect(made).toMatchObject({ text: "https://x.example/", links: [] });
});
