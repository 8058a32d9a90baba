/** Links of HTML, as people and their tools write them: what is tracked, what is left alone, and that the rest stays as it was. */
import { describe, expect, test } from "vitest";
import { MOST_URL } from "../../../src/model/link.ts";
import { print, trackedHtml } from "../../support/tracked.ts";

/** [what is written, what is sent]; a link of ours is shown as [number url]. */
type Table = [string, string][];

describe("attributes are found as a browser finds them", () => {
  test.each<Table[number]>([
    [`<a href="https://x.example/">x</a>`, `<a href="[1 https://x.example/]">x</a>`],
    [`<a href='https://x.example/'>x</a>`, `<a href='[1 https://x.example/]'>x</a>`],
    [`<a href=https://x.example/>x</a>`, `<a href=[1 https://x.example/]>x</a>`],
    [`<a href=https://x.example/a/ id=b>x</a>`, `<a href=[1 https://x.example/a/] id=b>x</a>`],
    [`<A HREF="HTTPS://X.example/">x</A>`, `<A HREF="[1 HTTPS://X.example/]">x</A>`],
    [`<a\n\thref\n =\r\n "https://x.example/"\n>x</a>`, `<a\n\thref\n =\r\n "[1 https://x.example/]"\n>x</a>`],
    [`<a/href="https://x.example/"/>x`, `<a/href="[1 https://x.example/]"/>x`],
    [`<a class="b"href="https://x.example/"id=c>x</a>`, `<a class="b"href="[1 https://x.example/]"id=c>x</a>`],
    [`<a title=">" href="https://x.example/">x</a>`, `<a title=">" href="[1 https://x.example/]">x</a>`],
    [
      `<![CDATA[ <a href="https://y.example/"> <a href="https://x.example/">x</a>`,
      `<![CDATA[ <a href="https://y.example/"> <a href="[1 https://x.example/]">x</a>`,
    ],
    [
      `<![CDATA[<br><a href="https://x.example/">x</a>]]><a href="https://y.example/">y</a>`,
      `<![CDATA[<br><a href="[1 https://x.example/]">x</a>]]><a href="[2 https://y.example/]">y</a>`,
    ],
    [
      `<a title='<a href="https://y.example/">' href="https://x.example/">x</a>`,
      `<a title='<a href="https://y.example/">' href="[1 https://x.example/]">x</a>`,
    ],
    [
      `<a href="https://x.example/" href="https://y.example/">x</a>`,
      `<a href="[1 https://x.example/]" href="https://y.example/">x</a>`,
    ],
    [
      `<a data-href="https://y.example/" href="https://x.example/">x</a>`,
      `<a data-href="https://y.example/" href="[1 https://x.example/]">x</a>`,
    ],
    [
      `<a href="https://x.example/"><a href="https://y.example/">y</a>`,
      `<a href="[1 https://x.example/]"><a href="[2 https://y.example/]">y</a>`,
    ],
    [
      `<map><area href="https://x.example/" alt=x><AREA HREF=https://y.example/></map>`,
      `<map><area href="[1 https://x.example/]" alt=x><AREA HREF=[2 https://y.example/]></map>`,
    ],
    [
      `<svg><a href="https://x.example/"><text>x</text></a></svg>`,
      `<svg><a href="[1 https://x.example/]"><text>x</text></a></svg>`,
    ],
    [`a < b <a href="https://x.example/">x</a> </ a> <>`, `a < b <a href="[1 https://x.example/]">x</a> </ a> <>`],
    [`<a href="https://x.example/">no end`, `<a href="[1 https://x.example/]">no end`],
  ])("%s", (html, sent) => {
    expect(trackedHtml(html)).toBe(sent);
  });
});

describe("an address is read as a browser reads it", () => {
  test.each<[string, string]>([
    ["https://x.example/?a=1&amp;b=2", "https://x.example/?a=1&b=2"],
    ["https://x.example/?a=1&b=2", "https://x.example/?a=1&b=2"],
    ["https://x.example/?a=1&AMP;b=2&#38;c=3&#x26;d=4", "https://x.example/?a=1&b=2&c=3&d=4"],
    ["https://x.example/?a&#61b&#x3D;c&#xfcz", "https://x.example/?a=b=c%C3%BCz"],
    ["https&colon;&sol;&sol;x.example/", "https://x.example/"],
    ["h&#116;tps://x.example/", "https://x.example/"],
    // A reference without its semicolon counts, but not before a letter, a digit or an equals sign.
    ["https://x.example/?a=1&copy=2&reg", "https://x.example/?a=1&copy=2%C2%AE"],
    ["https://x.example/?a=1&lt2&notit;", "https://x.example/?a=1&lt2&notit;"],
    ["https://x.example/&quot;&apos;&gt;", `https://x.example/"'>`],
    ["  https://x.example/ \n", "https://x.example/"],
    ["\n\thttps://x.example/a\n\t\tb", "https://x.example/ab"],
    ["https://x.example/my file.pdf?a b", "https://x.example/my%20file.pdf?a%20b"],
    ["https://bücher.example/straße", "https://xn--bcher-kva.example/stra%C3%9Fe"],
    ["https://x.example/%20%E4?ü", "https://x.example/%20%E4?%C3%BC"],
    ["http://[2001:db8::1]:8080/a", "http://[2001:db8::1]:8080/a"],
    ["https://x.example", "https://x.example"],
    ["https://x.example/#part", "https://x.example/#part"],
  ])("%s", (written, url) => {
    expect(print({ html: `<a href="${written}">x</a>` }).links).toMatchObject([{ url, untracked: "" }]);
    expect(trackedHtml(`<a href="${written}">x</a>`)).toContain(`[1 ${url}]`);
  });

  test("white space around it stays in the document", () => {
    expect(trackedHtml(`<a href=" https://x.example/\n">x</a>`)).toBe(`<a href=" [1 https://x.example/]\n">x</a>`);
  });
});

describe("left alone", () => {
  function leftAlone(url: string, untracked: string): void {
    const html = `<a href="${url}" class="c">x</a>`;
    const printed = print({ html });
    expect(printed.html).toBe(html);
    expect(printed.links).toMatchObject([{ number: 1, untracked }]);
  }

  test.each<[string, string]>([
    ["#top", "is a place in the document"],
    ["", "is empty"],
    ["  ", "is empty"],
    ["mailto:a@b.example?subject=https://x.example/", "has the scheme mailto:"],
    ["tel:+4930123", "has the scheme tel:"],
    ["sms:+4930123", "has the scheme sms:"],
    ["cid:picture", "has the scheme cid:"],
    ["javascript:alert(1)", "has the scheme javascript:"],
    ["JaVaScRiPt&colon;alert(1)", "has the scheme javascript:"],
    ["java\nscript:alert(1)", "is relative"],
    ["data:text/html,&lt;script>", "has the scheme data:"],
    ["ftp://x.example/", "has the scheme ftp:"],
    ["/path", "is relative"],
    ["page.html", "is relative"],
    ["../up", "is relative"],
    ["?a=1", "is relative"],
    ["//evil.example/", "is relative"],
    ["\\\\evil.example/", "is relative"],
    ["www.x.example/", "is relative"],
    ["https:x.example", "is not an absolute http or https URL"],
    ["https:///x.example", "is not an absolute http or https URL"],
    ["https://user:pass@x.example/", "has a user name"],
    ["https://x.example\\@evil.example/", "has a space, a backslash or a control character"],
    ["https://x.example/\u0007a", "has a space, a backslash or a control character"],
    ["https://x example/", "is not a URL"],
    ["https://x.example:99999/", "is not a URL"],
    ["https://t.example.com/u/abc", "is one of ours"],
    ["https://t.example.com", "is one of ours"],
  ])("%s", leftAlone);

  test("what is longer than a request line may be", () => {
    leftAlone(`https://x.example/${"a".repeat(MOST_URL)}`, "is longer than 4096 octets");
  });

  test("a host that only begins like ours is another", () => {
    expect(trackedHtml(`<a href="https://t.example.com.evil.example/">x</a>`)).toContain("[1 ");
  });

  test.each([
    `<base href="https://x.example/"><a href="page">x</a>`,
    `<svg><a xlink:href="https://x.example/">x</a></svg>`,
    `<link href="https://x.example/style.css"><form action="https://x.example/"><img src="https://x.example/i.png">`,
    `<script>document.write('<a href="https://x.example/">x</a>')</script>`,
    `<style>a{background:url(https://x.example/)} <a href="https://x.example/"></style>`,
    `<title><a href="https://x.example/">x</a></title><textarea><a href="https://x.example/"></textarea>`,
    `<SCRIPT></scrip><a href="https://x.example/"></ScRiPt >`,
    `<xmp><a href="https://x.example/"></xmp><iframe><a href="https://x.example/"></iframe>`,
    `<template><a href="https://x.example/">x</a><template></template><a href="https://x.example/">x</a></template>`,
    `<!-- <a href="https://x.example/">x</a> --><!--><!-- <a href="https://x.example/"> --!>`,
    `<!-- [if mso] <a href="https://x.example/">x</a> -->`,
    `<?php <a href="https://x.example/" ?><!doctype <a href="https://x.example/">`,
    `<a href="https://x.example/`,
    `<a href="https://x.example/" class="x`,
    `<a href=https://x.example/`,
    `</a href="https://x.example/">`,
    `<abbr href="https://x.example/">x</abbr><article href="https://x.example/">`,
    `< a href="https://x.example/">x</a>`,
    `<plaintext><a href="https://x.example/">x</a>`,
  ])("%s", (html) => {
    expect(print({ html }).html).toBe(html);
    expect(print({ html }).links.filter(({ untracked }) => untracked === "")).toEqual([]);
  });
});

describe("our own attributes", () => {
  test.each<Table[number]>([
    [`<a href="https://x.example/" data-track="off" class="c">x</a>`, `<a href="https://x.example/" class="c">x</a>`],
    [`<a data-track=off href=https://x.example/>x</a>`, `<a href=https://x.example/>x</a>`],
    [`<a DATA-TRACK='Off' HREF=https://x.example/>x</a>`, `<a HREF=https://x.example/>x</a>`],
    [
      `<a href="https://x.example/"\n   data-track-name="n"\n   data-track-category='c'>x</a>`,
      `<a href="[1 https://x.example/]">x</a>`,
    ],
    [`<a href=https://x.example/ data-track-name="n"class=c>x</a>`, `<a href=[1 https://x.example/] class=c>x</a>`],
    [`<a href="https://x.example/" data-track/>x</a>`, `<a href="[1 https://x.example/]" />x</a>`],
    [`<a href=https://x.example/a data-track="off"/>x</a>`, `<a href=https://x.example/a />x</a>`],
    [`<a data-track="on" href="https://x.example/">x.example</a>`, `<a href="[1 https://x.example/]">x.example</a>`],
    [
      `<a name="n" data-track="off">x</a><p data-track="off" data-track-name="mine">`,
      `<a name="n">x</a><p data-track="off" data-track-name="mine">`,
    ],
    [
      `<a data-tracker="off" data-track-names="x" href="https://x.example/">x</a>`,
      `<a data-tracker="off" data-track-names="x" href="[1 https://x.example/]">x</a>`,
    ],
  ])("%s", (html, sent) => {
    expect(trackedHtml(html)).toBe(sent);
  });

  test("name the link and its category", () => {
    const html = `<a href="https://x.example/" data-track-name=" The &quot;shop&quot; " data-track-category="a&amp;b">Go</a>`;
    expect(print({ html }).links).toMatchObject([{ label: 'The "shop"', category: "a&b" }]);
  });

  test("stay in a content that is not tracked", () => {
    const html = `<a href="https://x.example/" data-track="off">x</a>`;
    expect(print({ html }, null).html).toBe(html);
  });
});

describe("labels", () => {
  const label = (html: string): string => print({ html }).links[0]?.label ?? "none";
  test.each<[string, string]>([
    [`<a href="https://x.example/">  To the\n <b>sh</b>op&nbsp;&amp; more </a>`, "To the shop & more"],
    [`<a href="https://x.example/">One<br>two<p>three</p></a>`, "One two three"],
    [`<a href="https://x.example/"><img src="i.png" alt="The &lt;logo&gt;"></a>`, "The <logo>"],
    [`<a href="https://x.example/"><img src="i.png" alt="Logo"> Shop</a>`, "Shop"],
    [`<a href="https://x.example/"><style>b</style><!-- c -->Shop</a>`, "Shop"],
    [
      `<a href="https://x.example/">Hello {{name}}{{#if a}}, {{upper b}}{{else}}!{{/if}}</a>`,
      "Hello {{name}}{{#if a}}, {{upper b}}{{else}}!{{/if}}",
    ],
    [`<a href="https://x.example/">One <a href="https://y.example/">two</a>`, "One"],
    [`<a href="https://x.example/"></a>`, ""],
    [`<area href="https://x.example/" alt="North"> text`, "North"],
    [`<a href="https://x.example/">${"long ".repeat(1000)}</a>`, "long ".repeat(40).trim()],
  ])("%.70s", (html, expected) => {
    expect(label(html).trim()).toBe(expected);
  });

  test.each([
    "https://shop.example.com/a?b",
    "HTTP://shop.example.com",
    "www.shop.example.com",
    "shop.example.com",
    "Shop.Example",
    "shop.example.com/summer",
    "  shop.example.com&nbsp;",
    "&laquo; shop.example.com &raquo;",
    "👉 shop.example.com",
    "<b>shop</b>.<i>example</i>.com",
    "shop.&#8203;example.&zwnj;com",
    "&shy;shop.example.com",
    "bücher.example",
    "xn--bcher-kva.xn--p1ai",
    "https://{{domain}}/",
    "www.{{name}}.example",
    "&lt;https://shop.example.com&gt;",
  ])("a link called %s is left alone unless asked for", (text) => {
    const html = `<a href="https://shop.example.com/">${text}</a>`;
    const printed = print({ html });
    expect(printed.html).toContain(`href="https://shop.example.com/"`);
    expect(printed.links).toMatchObject([{ number: 1, untracked: "has a URL as its label" }]);
    expect(trackedHtml(html, {}, { urlLabels: true })).toContain("[1 https://shop.example.com/]");
    expect(trackedHtml(html.replace("<a", `<a data-track="on"`))).toContain("[1 https://shop.example.com/]");
  });

  test("what begins in branches and goes on behind them has one label", () => {
    const html = (label: string): string =>
      `{{#if a}}<a href="https://x.example/" data-track-name="x">{{else if b}}<a href="https://y.example/">{{else}}<a href="https://z.example/">{{/if}} ${label}</a>`;
    expect(print({ html: html("Shop") }).links.map((link) => link.label)).toEqual(["x", "Shop", "Shop"]);
    for (const { untracked } of print({ html: html("www.shop.example") }).links)
      expect(untracked).toBe("has a URL as its label");
    const twice = '<a href="https://x.example/"><a href="https://y.example/">Y</a>';
    expect(print({ html: twice }).links.map((link) => link.label)).toEqual(["", "Y"]);
  });

  test("a variable that is both address and label prints a URL", () => {
    const html = `<a href="{{shop}}">{{shop}}</a><a href="{{shop}}">{{name}}</a>`;
    expect(print({ html }).links.map(({ untracked }) => untracked)).toEqual(["has a URL as its label", ""]);
  });

  test.each([
    "{{offer.title}}",
    "{{a.b}} {{c.d}}",
    "Shop",
    "Go to shop.example.com now",
    "12.50",
    "Nr. 5",
    "info@shop.example.com",
    "e.g.",
    "More…",
    "5.5.2026",
    "{{name}}",
  ])("a link called %s is tracked", (text) => {
    expect(trackedHtml(`<a href="https://shop.example.com/">${text}</a>`)).toContain("[1 ");
  });
});
