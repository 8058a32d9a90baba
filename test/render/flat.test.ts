import { expect, test } from "vitest";
import { compileTemplate, type TemplateNode, templateOf } from "../../src/model/template.ts";
import { canChange, type Change, changed, flatten, trimmed, typed } from "../../src/render/flat.ts";

const nodesOf = (source: string): readonly TemplateNode[] => compileTemplate(source, "text").nodes;
const textNode = (value: string): TemplateNode => ({ kind: "text", value, at: { line: 0, column: 0 } });

const SOURCE = "a {{v}} b{{#if x}} c {{w}}{{else}} d{{/if}} e{{#each l}}f{{this}}{{/each}}";
const VARIABLES = { v: "V", w: "W", x: true, l: [1, 2] };

/** Changes the first place where `piece` stands (`·` for what stands in braces) and prints. */
function change(piece: string, into: (from: readonly TemplateNode[]) => readonly TemplateNode[]): string {
  const nodes = nodesOf(SOURCE);
  const flat = flatten(nodes);
  const start = flat.text.replaceAll("\uE000", "·").indexOf(piece);
  const end = start + piece.length;
  if (start < 0 || !canChange(flat, { start, end })) return "impossible";
  return templateOf(changed(nodes, [{ start, end, nodes: into }]), "text").render(VARIABLES, 0);
}

test.each<[string, string]>([
  ["a", "! V b c W ef1f2"],
  ["a · b", "! c W ef1f2"],
  ["·", "a ! b c W ef1f2"],
  [" b· c ·· d· e", "a V!f1f2"],
  ["· c ·· d·", "a V b! ef1f2"],
  [" c ·", "a V b! ef1f2"],
  ["c", "a V b ! W ef1f2"],
  [" d", "a V b c W ef1f2"],
  [" e·f···", "a V b c W!"],
  ["f", "a V b c W e!1!2"],
  ["f·", "a V b c W e!!"],
  ["", "!a V b c W ef1f2"],
  ["b· c", "impossible"],
  ["·· d", "impossible"],
  ["e·f", "impossible"],
])("%s is one piece", (piece, printed) => {
  expect(change(piece, () => [textNode("!")])).toBe(printed);
  if (printed !== "impossible") expect(change(piece, (from) => from)).toBe("a V b c W ef1f2");
});

test("many changes, side by side, empty ones too, at both ends", () => {
  const nodes = nodesOf("abc{{v}}d{{#if x}}e{{/if}}");
  const at = (start: number, end: number, into: string): Change => ({
    start,
    end,
    nodes: () => (into === "" ? [] : [textNode(into)]),
  });
  const all = [
    at(0, 0, "<"),
    at(0, 1, "A"),
    at(1, 1, "|"),
    at(1, 2, ""),
    at(2, 4, "CV"),
    at(4, 4, "+"),
    at(6, 7, "E"),
    at(9, 9, ">"),
  ];
  expect(flatten(nodes).text).toHaveLength(9);
  expect(templateOf(changed(nodes, all), "text").render(VARIABLES, 0)).toBe("<A|CV+dE>");
});

test("what is not changed is the same tree", () => {
  const nodes = nodesOf(SOURCE);
  expect(changed(nodes, [])).toEqual(nodes);
  expect(changed(nodes, [])[3]).toBe(nodes[3]);
});

test("tags of blocks that reach out, and white space, are no part of a piece", () => {
  const flat = flatten(nodesOf("{{#if a}} x {{#if b}}y{{/if}} {{/if}} z"));
  const piece = trimmed(flat, { start: 0, end: 9 });
  expect(typed(flat, piece, String)).toBe("x {{#if b}}y{{/if}}");
  expect(trimmed(flat, { start: 0, end: 0 })).toEqual({ start: 0, end: 0 });
});

test("a template that was changed is not taken for one that was written", () => {
  const nodes = changed(nodesOf("a"), [
    { start: 0, end: 1, nodes: (body) => [{ kind: "rewritten", body, room: 0, print: String }] },
  ]);
  expect(() => flatten(nodes)).toThrow(TypeError);
});
