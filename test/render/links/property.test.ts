/**
 * With every tracked link replaced by the address it stands for, a document is what it would have been without tracking: for newsletters as
 * tools and people write them, for documents put together by chance, and for hostile ones of any size.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { bigNewsletter, newsletter, recipient } from "../../../bench/newsletter.ts";
import { draws } from "../../support/draws.ts";
import { print, resolve, TOKEN, TRACKING } from "../../support/tracked.ts";

/** What attributes say, for a URL. */
const escaped = (url: string): string => url.replaceAll("&", "&amp;");

const fixture = (name: string): string => readFileSync(join(import.meta.dirname, "../fixtures", name), "utf8");
/** With what two of our variables print. */
const withOurs = (html: string): string =>
  html
    .replaceAll("{{mirrorUrl}}", `${TRACKING.url}/m/${TOKEN}`)
    .replace(/\{\{\{?unsubscribeUrl\}?\}\}/g, `${TRACKING.url}/u/${TOKEN}`);
const withoutOurs = (html: string): string => html.replace(/\s+data-track(-name|-category)?="[^"]*"/g, "");

describe("newsletters", () => {
  const loaves = [
    { id: "rye", name: "Rye" },
    { id: "oat", name: "Oat & more" },
  ];
  const offer = { id: 3, url: "https://shop.example.com/offer?a=1&b=2", title: "Three for two" };
  test.each<[string, string, object, number]>([
    ["outlook", fixture("outlook.html.txt"), { first: "Ann", points: 12, code: "c1", loaves, city: "Köln" }, 11],
    ["outlook", fixture("outlook.html.txt"), { first: "Bob", code: "c2" }, 11],
    ["mjml", fixture("mjml.html.txt"), { id: 9, level: "gold", segment: "a b", offer, newWindow: true }, 9],
    ["mjml", fixture("mjml.html.txt"), { id: 9, level: "", offer }, 9],
    ["the sample", newsletter().html, recipient(1, 1, ["x.example"]).variables, 60],
    ["100 KB", bigNewsletter(20).html, recipient(2, 1, ["x.example"]).variables, 80],
  ])("%s", (_, html, variables, tracked) => {
    const made = print({ html }, {}, variables);
    expect(made.links.filter(({ untracked }) => untracked === "")).toHaveLength(tracked);
    const numbers = new Set<number>();
    const back = resolve(made.html, (_kind, number, url) => {
      numbers.add(number);
      return escaped(url);
    });
    // What our template writes for = and & in a value.
    const written = withoutOurs(print({ html: withOurs(html) }, null, variables).html).replaceAll("&#x3D;", "=");
    expect(back).toBe(written);
    expect(numbers.size).toBeGreaterThan(tracked / 2);
  });

  test("outlook's links, one by one", () => {
    const { links } = print({ html: fixture("outlook.html.txt") });
    expect(links.map(({ number, url, label, untracked }) => `${number} ${url} | ${label} | ${untracked}`))
      .toMatchInlineSnapshot(`
      [
        "1 {{mirrorUrl}} | Show in the browser | is one of ours",
        "2 {{unsubscribeUrl}}?from=top | No more mail | is one of ours",
        "3 https://www.example.com/?utm_source=mail&utm_campaign=may | The mill | ",
        "4 https://www.example.com/points/{{code}}?n={{points}} | points | ",
        "5 https://www.example.com/join | Collect points | ",
        "6 https://www.example.com/order?c={{code}}&b=vml | Order your bread | ",
        "7 https://www.example.com/order?c={{code}}&b=html | Order your bread | ",
        "8 https://www.example.com/bread/{{id}} | {{name}} | ",
        "9 https://www.example.com/bread/{{id}} | More about it | ",
        "10 https://www.example.com/outlook | Only for Outlook | ",
        "11 tel:+4930123456 | +49 30 123456 | has the scheme tel:",
        "12 mailto:bread@example.com?subject=Order%20{{code}} | bread@example.com | has the scheme mailto:",
        "13 #map | map | is a place in the document",
        "14 https://www.example.com/shops/north | North | ",
        "15 https://www.example.com/shops/south | South | ",
        "16 https://www.example.com | www.example.com | has a URL as its label",
        "17 https://www.example.com/terms | Terms | has data-track="off"",
        "18 https://www.example.com/privacy#mail | Privacy | ",
        "19 {{unsubscribeUrl}} | Unsubscribe | is one of ours",
      ]
    `);
  });
  test("mjml's links, one by one", () => {
    const { links } = print({ html: fixture("mjml.html.txt") });
    expect(links.map(({ number, url, label, untracked }) => `${number} ${url} | ${label} | ${untracked}`))
      .toMatchInlineSnapshot(`
        [
          "1 https://shop.example.com/start?from={{urlEncode segment}} | Start | ",
          "2 {{offer.url}} | offer {{offer.id}} | ",
          "3 https://shop.example.com/hero |  | ",
          "4 https://shop.example.com/gold/{{id}} | gold member | ",
          "5 https://shop.example.com/silver/{{id}} | silver | ",
          "6 https://shop.example.com/levels | What are levels? | ",
          "7 https://social.example.com/sharer?u=https%3A%2F%2Fshop.example.com%2F&t=Look%21 | Share | ",
          "8 https://social.example.com/shop | Follow us | ",
          "9 https://shop.example.com/preferences/{{id}} | Preferences | ",
          "10 {{{unsubscribeUrl}}} | Unsubscribe | is one of ours",
        ]
      `);
  });
});

/** Pieces of a document; `link` notes down what stands in its href, as it is written, by the number it will have. */
function document(draw: (n: number) => number): { html: string; hrefs: string[] } {
  const hrefs: string[] = [];
  const pick = <T>(list: readonly T[]): T => list[draw(list.length)] as T;
  const some = (make: () => string, most: number): string => Array.from({ length: draw(most + 1) }, make).join("");
  const url = (): string =>
    pick([
      () => `https://x.example/${draw(1000)}`,
      () => `http://www.x.example/?a=${draw(9)}&amp;b={{code}}`,
      () => `HTTPS://X.example/&#x61;&eacute;${draw(9)}#p`,
      () => `https://x.example/{{#if yes}}y{{else}}n{{/if}}/${draw(9)}`,
      () => `{{{url}}}`,
      () => `{{url}}&amp;more={{code}}`,
    ])();
  const notOurs = (): string =>
    pick(["#a", "mailto:a@b.example", "/x", "javascript:x", "{{unsubscribeUrl}}", "{{missing}}", ""]);
  const attribute = (): string =>
    pick([
      ' class="c"',
      " id='i'",
      " hidden",
      ' title="a > b"',
      "\n style='x:y'",
      " {{attributes}}",
      '{{#if yes}} lang="en"{{/if}}',
      " data-x=y",
    ]);
  const link = (): string => {
    const value = draw(4) > 0 ? url() : notOurs();
    hrefs.push(value);
    const quote = /^[^\s{}&]+$/.test(value) && draw(3) === 0 ? "" : pick(['"', "'"]);
    const name = pick(["href", "HREF", "hReF"]);
    const track = pick(["", "", ' data-track-name="n {{code}}"', " data-track-category='c'"]);
    return `<${pick(["a", "A"])}${some(attribute, 2)} ${name}=${quote}${value}${quote}${some(attribute, 2)}${track}>${text()}</a>`;
  };
  const text = (): string =>
    pick(["Shop", "a &lt; b", "{{code}}", "a < b", "<b>x</b>", "<img src=i.png alt='x>y'>", "\uE000", "&nbsp;"]);
  const block = (depth: number): string => {
    const inner = (): string => some(() => part(depth - 1), 3);
    return pick([
      () => `{{#if yes}}${inner()}{{else}}${inner()}{{/if}}`,
      () => `{{#unless yes}}${inner()}{{/unless}}`,
      () => `{{#each list}}${inner()}{{/each}}`,
      () => `<div>${inner()}</span>`,
      // Comments do not nest.
      () => `<!--[if mso]>${some(() => pick([link, text])(), 3)}<![endif]-->`,
      () => `<!--[if !mso]><!-->${inner()}<!--<![endif]-->`,
    ])();
  };
  const decoy = (): string =>
    pick([
      `<!-- <a href="https://x.example/"> -->`,
      `<script>"<a href='https://x.example/'>"</script>`,
      `<style>a{}</style>`,
      `<a name=x>`,
      `<p title='<a href="https://x.example/">'>`,
      `<![if !mso]>`,
    ]);
  function part(depth: number): string {
    const which = draw(10);
    return which < 5 ? link() : which < 7 ? text() : which < 8 ? decoy() : depth > 0 ? block(depth) : text();
  }
  const html = Array.from({ length: 3 + draw(12) }, () => part(2)).join(pick(["", "\n", " "]));
  return { html, hrefs };
}

describe("documents put together by chance", () => {
  const listUnsubscribe = { url: "https://u.example", mailtoDomain: "" };
  const own = { url: "https://v.example/?a=1&b=2", code: "c-1", yes: true, attributes: "x" };
  // In a loop the same is printed as outside of it.
  const variables = { ...own, list: [own, own] };

  test.each(Array.from({ length: 20 }, (_, seed) => seed))("seed %i", (seed) => {
    for (let run = 0; run < 10; run++) {
      const { html, hrefs } = document(draws(seed * 1000 + run));
      const made = print({ html, listUnsubscribe }, {}, variables);
      expect(made.links).toHaveLength(hrefs.length);
      const printed = hrefs.map((href) => print({ html: href || "-", listUnsubscribe }, null, variables).html);
      const back = resolve(made.html, (_, number) => printed[number - 1] ?? "");
      const bare = html.replace(/ data-track-(name="n \{\{code\}\}"|category='c')/g, "");
      const written = print({ html: bare, listUnsubscribe }, null, variables);
      expect(back).toBe(written.html);
    }
  });
});

describe("documents that want to be too much", () => {
  const A = `<a href="https://x.example/?a=1&amp;b=2">x</a>`;
  const many = (piece: string, count: number): string => piece.repeat(count);
  test.each<[string, string, number]>([
    ["a megabyte of text", `${many("text &amp; <b>more</b> ", 50_000)}${A}`, 1],
    ["10,000 links", many(A, 10_000), 10_000],
    ["10,000 deep", `${many("<div>", 10_000)}${A}${many("</div>", 10_000)}`, 1],
    ["links in links, none of them closed", many(`<a href="https://x.example/">`, 10_000), 10_000],
    ["tags that never end", many("<a href=", 50_000), 0],
    ["quotes that never end", `${A}${many(`<a href="`, 50_001)}`, 1],
    ["comments that never end", many("<!--", 50_000) + A, 0],
    ["conditional comments", many(`<!--[if mso]>${A}<![endif]-->`, 5000), 5000],
    ["1,000 hrefs in each of 100 tags", many(`<a${many(' href="https://x.example/"', 1000)}>`, 100), 100],
    ["hrefs in 2,000 branches of one tag", `<a ${many(`{{#if yes}}href="https://x.example/"{{/if}} `, 2000)}>`, 2000],
    ["white space in an address", `<a href="https://x.example/${many(" ", 500_000)}a">x</a>`, 0],
    [
      "white space around attributes",
      `<a${many(" ", 500_000)}data-track-name=x${many("\n", 500_000)}href="https://x.example/">`,
      1,
    ],
    ["one label of a megabyte", `<a href="https://x.example/">${many("<i>word</i> ", 100_000)}`, 1],
    ["a domain of a megabyte as a label", `<a href="https://x.example/">${many("a.", 500_000)}</a>`, 1],
    ["ampersands", `<a href="https://x.example/?${many("&", 100_000)}">${many("&", 100_000)}</a>`, 0],
    ["10,000 expressions", `${many("{{code}}", 5000)}<a href="https://x.example/${many("{{c}}", 5000)}">x</a>`, 1],
    [
      "our own attributes",
      many(`<a href="https://x.example/" data-track-name="n" data-track-category="c">x</a>`, 5000),
      5000,
    ],
  ])("%s", (_, html, tracked) => {
    const { links } = print({ html }, { opens: true });
    expect(links.filter(({ untracked }) => untracked === "")).toHaveLength(tracked);
  });

  test("text, too", () => {
    const text = `${many("{{#if yes}}https://x.example/{{/if}}", 2000)}\n${many("(", 100_000)}https://x.example/${many(")", 100_000)}`;
    expect(print({ text: `${text}${many("https://", 50_000)}` }, { textLinks: true }, { yes: true }).links.length).toBe(
      2002,
    );
  });
});
