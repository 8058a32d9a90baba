import { describe, expect, test } from "vitest";
import { checkTemplate, compileTemplate, TemplateError, type TemplateMode } from "../../src/model/template.ts";

const VARIABLES = {
  a: "A&<b>",
  quote: `it's "so" = \`x\``,
  five: 5,
  zero: 0,
  yes: true,
  no: false,
  nothing: null,
  empty: [],
  list: ["p", "q<"],
  objs: [
    { n: "N1", m: [1, 2] },
    { n: "N2", m: [] },
  ],
  o: { x: "ox", y: { z: "oz" } },
  date: "a variable with a helper's name",
};

function render(source: string, mode: TemplateMode = "html", variables: unknown = VARIABLES): string {
  return compileTemplate(source, mode).render(variables, Date.UTC(2026, 1, 3, 4, 5, 6));
}

// Expected as Handlebars 4.7.10 itself renders it; 34,000 random templates were compared with it once.
describe("is Handlebars", () => {
  test.each([
    ["{{a}} {{{a}}} {{&a}}", "A&amp;&lt;b&gt; A&<b> A&<b>"],
    ["{{quote}}", "it&#x27;s &quot;so&quot; &#x3D; &#x60;x&#x60;"],
    ["[{{missing}}{{missing.deep}}{{nothing}}{{o.nope.deep}}]", "[]"],
    ["{{five}} {{zero}} {{yes}} {{no}} {{list}} {{o}}", "5 0 true false p,q&lt; [object Object]"],
    ["{{o.x}} {{o.y.z}} {{list.[0]}} {{objs.1.n}} {{list.length}} {{a.length}}", "ox oz p N2 2 5"],
    ["{{#if yes}}y{{else}}n{{/if}}{{#if zero}}y{{else}}n{{/if}}{{#if zero includeZero=true}}y{{/if}}", "yny"],
    ["{{#if no}}1{{else if empty}}2{{else if five}}3{{else}}4{{/if}}", "3"],
    ["{{#unless no}}u{{/unless}}{{#unless yes}}x{{else}}e{{/unless}}", "ue"],
    ["{{#each list}}{{@index}}{{@key}}{{@first}}{{@last}}={{this}};{{/each}}", "00truefalse=p;11falsetrue=q&lt;;"],
    ["{{#each o}}{{@key}}:{{this}} {{/each}}", "x:ox y:[object Object] "],
    ["{{#each empty}}x{{else}}none{{/each}}{{#each missing}}x{{else}}none{{/each}}", "nonenone"],
    [
      "{{#each objs as |it i|}}{{i}}{{it.n}}{{#each it.m as |v|}}-{{v}}{{it.n}}{{@../index}}{{/each}}{{/each}}",
      "0N1-1N10-2N101N2",
    ],
    [
      "{{#each objs}}{{n}}{{../a}}{{#if m}}{{../five}}{{/if}}{{@root.five}}{{/each}}",
      "N1A&amp;&lt;b&gt;55N2A&amp;&lt;b&gt;5",
    ],
    [
      "{{#with o}}{{x}}{{../five}}{{#with y}}{{z}}{{../../five}}{{/with}}{{/with}}{{#with no}}x{{else}}e{{/with}}",
      "ox5oz5e",
    ],
    ["{{#list}}<{{this}}>{{/list}}{{#o}}{{x}}{{/o}}{{#yes}}{{five}}{{/yes}}{{^no}}inv{{/no}}", "<p><q&lt;>ox5inv"],
    ["x\n{{#if yes}}\n  y\n{{/if}}\nz {{~ five ~}}  w {{!-- gone --}}{{! gone }}", "x\n  y\nz5w "],
    ["\\{{five}} {{{{raw}}}}{{five}}{{{{/raw}}}}", "{{five}} "],
  ])("%s", (source, expected) => {
    expect(render(source)).toBe(expected);
  });

  test("a variable is printed even when a helper has its name", () => {
    expect(render("{{date}} {{upper date}}", "text")).toBe(`${VARIABLES.date} ${VARIABLES.date.toUpperCase()}`);
  });

  test("text and headers are not escaped", () => {
    expect(render("{{a}} {{quote}}", "text")).toBe(`A&<b> ${VARIABLES.quote}`);
    expect(render("{{a}} {{quote}}", "header")).toBe(`A&<b> ${VARIABLES.quote}`);
  });

  test("knows when nothing depends on variables", () => {
    expect(compileTemplate("just{{! a comment }} text", "text").constant).toBe("just text");
    expect(compileTemplate("{{a}}", "text").constant).toBe(null);
  });
});

describe("what is refused, and where", () => {
  test.each([
    ["ab\ncd {{#if x}}\n", 3, 1, "ends inside"],
    ["ab\ncd {{foo", 2, 6, "syntax"],
    ["ab\ncd {{foo bar}}", 2, 4, "no helper foo"],
    ["ab\ncd {{foo}}{{/each}}", 2, 11, "closed here that is not open"],
    ["{{#if a}}{{/each}}", 1, 4, "if doesn't match each"],
    ["x\n  {{> partial}}", 2, 3, "partials"],
    ["{{#> layout}}x{{/layout}}", 1, 1, "partials"],
    ["{{* decorator}}", 1, 1, "decorators"],
    ['{{#* inline "x"}}y{{/inline}}', 1, 1, "decorators"],
    ["\n {{upper (lookup a 'b')}}", 2, 10, "no helper lookup"],
    ["{{log a}}", 1, 1, "no helper log"],
    ["{{helperMissing a}}", 1, 1, "no helper helperMissing"],
    ["{{constructor a}}", 1, 1, "no helper constructor"],
    ["{{__proto__ a}}", 1, 1, "no helper __proto__"],
    ["{{#nope a}}{{/nope}}", 1, 1, "no block helper nope"],
    ["{{#upper a}}{{/upper}}", 1, 1, "not a block"],
    ["{{if a}}", 1, 1, "write {{#if}}"],
    ["{{#each}}{{/each}}", 1, 1, "one argument"],
    ["{{truncate a}}", 1, 1, "2 to 3 arguments, not 1"],
    ["{{number five digits=2}}", 1, 1, "no option digits"],
    ["{{#if a x=1}}{{/if}}", 1, 1, "no option x"],
    ["{{a.this}}", 1, 3, "Invalid path"],
  ])("%j", (source, line, column, message) => {
    expect(checkTemplate(source, "html")).toEqual({
      line,
      column,
      message: expect.stringContaining(message) as string,
    });
  });

  test.each([
    ["parentheses in one another", `{{upper ${"(upper ".repeat(101)}a${")".repeat(101)}}}`, 1, "100 deep"],
    ["blocks in one another", "{{#if a}}".repeat(101) + "{{/if}}".repeat(101), 901, "100 deep"],
    ["blocks by else if", `{{#if a}}${"{{else if b}}".repeat(120)}{{/if}}`, 1297, "100 deep"],
    ["open blocks", "{{#if a}}".repeat(20_000) + "{{/if}}".repeat(20_000), 901, "100 deep"],
    ["inverse blocks", "{{^a}}".repeat(20_000), 601, "100 deep"],
    ["parentheses", `{{a ${"(".repeat(100_000)}`, 1, "not closed, or very long"],
    ["arguments", `{{a ${"b ".repeat(100_000)}}}`, 1, "not closed, or very long"],
    ["expressions", "{{a}}".repeat(200_000), 100_001, "20000 expressions"],
  ])("too many %s", (_name, source, column, message) => {
    const expected = { line: 1, column, message: expect.stringContaining(message) as string };
    expect(checkTemplate(source, "html")).toEqual(expected);
  });

  test("a line break in a header template", () => {
    expect(checkTemplate("a {{#if x}}b\r\nBcc: c{{/if}}", "header")).toMatchObject({ line: 1, column: 12 });
    expect(checkTemplate("a\0b", "header")).not.toBe(null);
    expect(checkTemplate("a\r\nb", "text")).toBe(null);
  });
});

describe("no way out", () => {
  test.each([
    "{{constructor}}",
    "{{constructor.constructor}}",
    "{{__proto__}}",
    "{{__proto__.constructor}}",
    "{{o.constructor.name}}",
    "{{o.__proto__.toString}}",
    "{{o.[__proto__].constructor}}",
    "{{list.constructor}}{{list.map}}{{list.forEach}}",
    "{{a.constructor.constructor}}{{a.toString}}",
    "{{five.constructor}}{{five.toFixed}}",
    "{{@root.constructor}}{{@partial-block}}{{@constructor}}{{@__proto__}}",
    "{{#with o}}{{toString}}{{hasOwnProperty}}{{/with}}",
    "{{#with constructor}}{{name}}{{/with}}",
    "{{#each constructor}}{{this}}{{/each}}",
    "{{../../../a}}{{this.constructor}}",
  ])("%s prints nothing", (source) => {
    expect(render(source)).toBe("");
  });

  test("variables named like the machinery are just variables", () => {
    const variables: unknown = JSON.parse(
      '{"constructor":"F1","__proto__":{"polluted":"yes"},"toString":"s","o":{"toString":1,"valueOf":2}}',
    );
    expect(render("{{constructor}} {{toString}} [{{polluted}}] {{o}} {{__proto__.polluted}}", "html", variables)).toBe(
      "F1 s [] [object Object] yes",
    );
    expect(({} as Record<string, unknown>)["polluted"]).toBe(undefined);
  });
});

describe("bounds", () => {
  const big = {
    list: Array.from({ length: 3000 }, (_, i) => i),
    text: "x".repeat(64 * 1024),
    a: "1",
    four: [1, 2, 3, 4, 5, 6, 7],
  };

  test.each([
    ["{{#each list}}{{#each ../list}}{{#each ../../list}}.{{/each}}{{/each}}{{/each}}", "10000 turns"],
    ["{{#each list}}{{#each ../list}}{{/each}}{{/each}}", "10000 turns"],
    ["{{#list}}{{#@root.list}}{{/@root.list}}{{/list}}", "10000 turns"],
    [
      "{{text}}{{text}}{{text}}{{text}}{{#each four}}{{#each ../four}}{{text}}{{text}}{{text}}{{@root.text}}{{@root.text}}{{@root.text}}{{/each}}{{/each}}",
      "grows past",
    ],
    ["{{#each list}}{{@root.text}}{{/each}}", "grows past"],
    ["{{#each list}}{{#if (eq (upper @root.text) @root.text)}}{{/if}}{{/each}}", "works too long"],
  ])("%s", (source, message) => {
    expect(() => render(source, "html", big)).toThrow(message);
  });

  test.each([
    ["comparing lists without end", `{{#each list}}${"{{#if (gt @root.list @root.list)}}{{/if}}".repeat(20)}{{/each}}`],
    ["a loop over a long body", `{{#each list}}${"{{#if a}}{{/if}}".repeat(9_000)}{{/each}}`],
  ])("%s", (_name, source) => {
    expect(() => render(source, "html", big)).toThrow("works too long");
  });

  test("a long template may write its own text", () => {
    const text = "y".repeat(3 * 1024 * 1024);
    expect(render(`${text}{{a}}`, "text", big)).toHaveLength(text.length + 1);
  });

  test("a deep value is a failure, not a crash", () => {
    const deep: unknown = JSON.parse(`{"x":${"[".repeat(200_000)}${"]".repeat(200_000)}}`);
    expect(() => render("{{x}}", "text", deep)).toThrow(RangeError);
  });
});

describe("headers", () => {
  test.each(["\r\nBcc: x@y.z", "a\nb", "a\rb", "a\0b"])("the value %j fails its message", (value) => {
    expect(() => render("Hi {{v}}", "header", { v: value })).toThrow(/header injection/);
    expect(() => render("Hi {{upper v}}", "header", { v: value })).toThrow(TemplateError);
  });

  test("other control characters pass: the header encoder hides them", () => {
    expect(render("Hi {{v}}", "header", { v: "a\x1b\t\u2028b" })).toBe("Hi a\x1b\t\u2028b");
  });
});
