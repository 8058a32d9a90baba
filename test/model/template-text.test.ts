import { expect, test } from "vitest";
import { compileTemplate, type TemplateNode } from "../../src/model/template.ts";
import { blockText, valueText } from "../../src/model/template-text.ts";

function text(nodes: readonly TemplateNode[]): string {
  return nodes
    .map((node) => {
      if (node.kind === "text") return node.value;
      if (node.kind === "value") return valueText(node);
      if (node.kind === "rewritten") return text(node.body);
      return [
        blockText(node, "open"),
        text(node.body),
        blockText(node, "else"),
        text(node.inverse),
        blockText(node, "close"),
      ].join("");
    })
    .join("");
}

test.each([
  "a {{b}} c",
  "{{{raw}}}{{a.b.c}}{{../up}}{{@index}}{{@root.x}}{{this}}",
  "{{default name 'you'}}{{upper (lower x) locale='de'}}{{truncate x 3 '…'}}",
  "{{#if a}}yes{{else}}no{{/if}}{{#unless a}}x{{/unless}}",
  "{{#each list}}{{x}}{{#with y}}{{z}}{{/with}}{{/each}}{{#sec}}s{{/sec}}",
  "{{#if (gt points 100)}}{{number 5 decimals=2}}{{/if}}",
  '{{[odd name].[x-y.z]}}{{default x "it\'s"}}{{default x true}}{{default x null}}',
])("%s is what was typed", (source) => {
  expect(text(compileTemplate(source, "text").nodes)).toBe(source);
});

test("what is shown compiles to the same again", () => {
  const shown = text(compileTemplate("{{~#each a as |b i|~}} {{b}} {{/each}}{{& x}}", "text").nodes);
  expect(text(compileTemplate(shown, "text").nodes)).toBe(shown);
});
