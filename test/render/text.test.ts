import { describe, expect, test } from "vitest";
import { compileTemplate, templateOf } from "../../src/model/template.ts";
import { htmlToText, textTemplate } from "../../src/render/text.ts";

const VARIABLES = {
  name: "Ann & Co",
  url: "https://x.example/?a=1&b=2",
  items: ["one", "<two>"],
  yes: true,
  no: false,
  rich: "<b>bold</b>",
};

function both(html: string): { fast: string | null; exact: string } {
  const template = compileTemplate(html, "html");
  const nodes = textTemplate(template.nodes);
  return {
    fast: nodes === null ? null : templateOf(nodes, "text").render(VARIABLES, 0),
    exact: htmlToText(template.render(VARIABLES, 0)),
  };
}

describe("a text template made from the HTML template", () => {
  test.each([
    ["<p>Hello {{name}},</p><p>Your {{default colour 'red'}} one</p>", "Hello Ann & Co,\n\nYour red one\n"],
    ["<h1>Hi {{name}}</h1>\n<div>a  b\n c</div>", "Hi Ann & Co\n\na b c\n"],
    [
      '<p><a href="{{url}}">Shop</a> <a href="https://s.example">https://s.example</a></p>',
      "Shop [https://x.example/?a=1&b=2] https://s.example\n",
    ],
    ["<p>{{#if yes}}Y {{name}}{{else}}N{{/if}}!</p>", "Y Ann & Co!\n"],
    ["<p>{{#if no}}Y{{else if yes}}M{{else}}N{{/if}}</p>", "M\n"],
    ["<p>a &lt; b &amp; {{name}} &copy;</p>", "a < b & Ann & Co ©\n"],
    ["<style>p { color: red }</style><p>x<br>y {{! comment }}<!-- {{name}} --></p>", "x\ny\n"],
    ["<p>{{#each items}}{{this}};{{/each}}</p>", "one;<two>;\n"],
    ['<img src="a.png" alt="Logo"><p>x</p>', "x\n"],
    ["<p>&#123;&#123;name}} is text</p>", "{{name}} is text\n"],
  ])("%s", (html, expected) => {
    expect(both(html)).toEqual({ fast: expected, exact: expected });
  });

  test("a list in a loop", () => {
    const { fast } = both("<p>Yours:</p><ul>{{#each items}}<li>{{this}}</li>{{/each}}</ul><p>Bye</p>");
    expect(fast?.split("\n").filter((line) => line !== "")).toEqual(["Yours:", " * one", " * <two>", "Bye"]);
  });

  test("block tags alone on their lines leave none", () => {
    const html = "<p>a</p>\n{{#if yes}}\n<p>b</p>\n{{/if}}\n{{#each items}}\n<p>{{this}}</p>\n{{/each}}\n<p>c</p>";
    expect(both(html).fast?.replace(/\n+/g, " ").trim()).toBe("a b one <two> c");
  });
});

describe("no sure template: each message is converted", () => {
  test.each([
    ["<p>{{{rich}}}</p>", "bold\n"],
    ["<p>{{&rich}}</p>", "bold\n"],
    ['<p class="{{#if yes}}x{{/if}}">a</p>', "a\n"],
    ["<style>{{#if yes}}p{}{{/if}}</style><p>a</p>", "a\n"],
    ["<p>{{#if yes}}a<b title='{{/if}}'>b</b></p>", "a\n"],
    ["<p>\uE000 {{name}}</p>", "\uE000 Ann & Co\n"],
  ])("%s", (html, expected) => {
    const { fast, exact } = both(html);
    expect(fast).toBe(null);
    expect(exact).toContain(expected.trim());
  });
});

describe("HTML that is deeper than a stack", () => {
  test.each([
    ["<div>", 300],
    ["<table><tr><td>", 390],
    ["<p><b>x</b>", 2000],
    ["<div>", 1000],
    ["<ul><li>", 3000],
    ["<blockquote>", 3000],
    ["<div>", 10_000],
    ['<a href="https://x.example/">', 100_000],
    ["<b>", 300_000],
  ])("%s, %i times", (tag, count) => {
    const html = `<p>before</p>${tag.repeat(count)}inside`;
    expect(both(html).exact).toContain("before\n");
    expect(both(html).exact).toContain("inside");
    expect(both(`<style>p{}</style>${html}`).exact).not.toContain("p{}");
  });

  test("has its words at least, one template or the other", () => {
    const html = `<title>t</title>${"<i>".repeat(6000)}a &amp; {{name}}<script>s</script>`;
    expect(both(html)).toEqual({ fast: null, exact: "a & Ann & Co\n" });
  });
});
