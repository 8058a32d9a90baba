/** Links of HTML that is a template: expressions and blocks in, between and around attributes; and what tracking puts into a document. */
import { describe, expect, test } from "vitest";
import { verifyLink } from "../../../src/model/link.ts";
import { compileContent } from "../../../src/render/compose.ts";
import { CONTENT, print, resolve, TOKEN, TRACKING, trackedHtml } from "../../support/tracked.ts";

const VARIABLES = {
  url: "https://v.example/?a=1&b=2",
  host: "v.example",
  code: "c-1",
  name: 'Ann "Lee" & Co',
  page: "/a b",
  yes: true,
  list: [{ id: 1 }, { id: 2 }],
  bad: "javascript:alert(1)",
  attributes: 'class="c"',
  quoted: '"https://v.example/"',
  single: "'https://v.example/'",
};

describe("personalised addresses", () => {
  test.each<[string, string]>([
    [`<a href="{{url}}">x</a>`, `<a href="[1 https://v.example/?a=1&b=2]">x</a>`],
    [`<a href="{{{url}}}">x</a>`, `<a href="[1 https://v.example/?a=1&b=2]">x</a>`],
    [`<a href='{{url}}'>x</a>`, `<a href='[1 https://v.example/?a=1&b=2]'>x</a>`],
    [`<a href={{url}}>x</a>`, `<a href=[1 https://v.example/?a=1&b=2]>x</a>`],
    [
      `<a href="https://{{host}}/{{code}}?x=1&amp;n={{urlEncode name}}">x</a>`,
      `<a href="[1 https://v.example/c-1?x=1&n=Ann%20%22Lee%22%20%26%20Co]">x</a>`,
    ],
    [`<a href="https://x.example{{page}}">x</a>`, `<a href="[1 https://x.example/a%20b]">x</a>`],
    [`<a href="https://x.example/?n={{name}}">x</a>`, `<a href="[1 https://x.example/?n=Ann%20"Lee"%20&%20Co]">x</a>`],
    [`<a href="https://x.example/&quot;{{code}}">x</a>`, `<a href="[1 https://x.example/"c-1]">x</a>`],
    [`<a href=" {{url}} ">x</a>`, `<a href=" [1 https://v.example/?a=1&b=2] ">x</a>`],
    [`<a href="https://x.example/{{missing}}">x</a>`, `<a href="[1 https://x.example/]">x</a>`],
    [
      `<a href="{{#if yes}}https://x.example/y{{else}}https://x.example/n{{/if}}">x</a>`,
      `<a href="[1 https://x.example/y]">x</a>`,
    ],
    [`<a href="https://x.example/{{#each list}}{{id}}-{{/each}}">x</a>`, `<a href="[1 https://x.example/1-2-]">x</a>`],
    [
      `{{#each list}}<a href="https://x.example/{{id}}?c={{../code}}">{{id}}</a>{{/each}}`,
      `<a href="[1 https://x.example/1?c=c-1]">1</a><a href="[1 https://x.example/2?c=c-1]">2</a>`,
    ],
    [
      `{{#each list}}<a href="https://x.example/">{{id}}</a>{{/each}}<a href="https://y.example/">y</a>`,
      `<a href="[1 https://x.example/]">1</a><a href="[1 https://x.example/]">2</a><a href="[2 https://y.example/]">y</a>`,
    ],
    [
      `<a href="https://x.example/{{code}}"data-track-name="{{name}}">x</a>`,
      `<a href="[1 https://x.example/c-1]">x</a>`,
    ],
  ])("%s", (html, sent) => {
    expect(trackedHtml(html, VARIABLES)).toBe(sent);
  });

  test.each<[string, string]>([
    ["quotes that an expression brings", `<a href={{{quoted}}} id=a><a href={{{single}}}>`],
  ])("%s", (_, html) => {
    expect(trackedHtml(html, VARIABLES)).toBe(
      `<a href="[1 https://v.example/]" id=a><a href='[2 https://v.example/]'>`,
    );
  });

  test.each([
    `<a href="{{bad}}">x</a>`,
    `<a href="{{missing}}">x</a>`,
    `<a href="{{code}}">x</a>`,
    `<a href="{{{quoted}}}">x</a>`,
    `<a href='{{{single}}}'>x</a>`,
    `<a href="https://x.example/{{{attributes}}}">x</a>`,
    `<a href=https://x.example/{{{page}}}>x</a>`,
    `<a href="https://u:p@{{host}}/">x</a>`,
    `<a href="https://{{name}}/">x</a>`,
    `<a href="https://t.example.com/u/{{code}}">x</a>`,
  ])("what prints no target stays as it is printed: %s", (html) => {
    expect(print({ html }, {}, VARIABLES).html).toBe(print({ html }, null, VARIABLES).html);
  });

  test.each([
    "{{unsubscribeUrl}}",
    "{{{mirrorUrl}}}",
    "{{unsubscribeUrl}}?from={{code}}",
    " {{@root.unsubscribeUrl}}",
    "{{default unsubscribeUrl url}}",
  ])("addresses of ours are left alone: %s", (href) => {
    const { html, links } = print({ html: `<a href="${href}">x</a>` }, {}, VARIABLES);
    expect(html).toContain(`href="${href.startsWith(" ") ? " " : ""}https://t.example.com/`);
    expect(html).not.toContain("/r/");
    expect(links).toMatchObject([{ untracked: "is one of ours", personalised: true }]);
  });

  test("what only has a property of that name is none", () => {
    const html = '<a href="{{shop.unsubscribeUrl}}">x</a>';
    expect(trackedHtml(html, { shop: { unsubscribeUrl: "https://x.example/" } })).toContain("[1 https://x.example/]");
  });

  test("are listed as they were typed", () => {
    const html = `<a href="https://x.example/?a={{code}}&amp;b={{upper name}}{{#if yes}}&amp;c{{/if}}">{{name}}</a>`;
    expect(print({ html }).links).toEqual([
      {
        number: 1,
        part: "html",
        url: "https://x.example/?a={{code}}&b={{upper name}}{{#if yes}}&c{{/if}}",
        personalised: true,
        label: "{{name}}",
        category: "",
        untracked: "",
      },
    ]);
  });

  test.each([
    ["/{{code}}", "is relative"],
    ["#{{code}}", "is a place in the document"],
    ["mailto:{{code}}", "has the scheme mailto:"],
  ])("%s needs no variables to be refused", (href, untracked) => {
    expect(print({ html: `<a href="${href}">x</a>` }).links).toMatchObject([{ untracked, personalised: true }]);
  });
});

describe("blocks and expressions among attributes", () => {
  const both = (html: string): [string, string] => [trackedHtml(html, { yes: true }), trackedHtml(html, {})];

  test.each<[string, string, string]>([
    [
      `<a {{#if yes}}class="y" {{/if}}href="https://x.example/">x</a>`,
      `<a class="y" href="[1 https://x.example/]">x</a>`,
      `<a href="[1 https://x.example/]">x</a>`,
    ],
    [
      `<a{{#if yes}} class="y"{{/if}} href="https://x.example/">x</a>`,
      `<a class="y" href="[1 https://x.example/]">x</a>`,
      `<a href="[1 https://x.example/]">x</a>`,
    ],
    [
      `<a href="https://x.example/"{{#if yes}} class="y"{{/if}}>x</a>`,
      `<a href="[1 https://x.example/]" class="y">x</a>`,
      `<a href="[1 https://x.example/]">x</a>`,
    ],
    [
      `<a href=https://x.example/{{#if yes}} class=y{{/if}}>x</a>`,
      `<a href=[1 https://x.example/] class=y>x</a>`,
      `<a href=[1 https://x.example/]>x</a>`,
    ],
    [
      `<a {{#if yes}}href="https://x.example/"{{else}}href="https://y.example/"{{/if}}>x</a>`,
      `<a href="[1 https://x.example/]">x</a>`,
      `<a href="[2 https://y.example/]">x</a>`,
    ],
    [
      `{{#if yes}}<a href="https://x.example/">{{else}}<a href="https://y.example/">{{/if}}x</a>`,
      `<a href="[1 https://x.example/]">x</a>`,
      `<a href="[2 https://y.example/]">x</a>`,
    ],
    [
      `<a href={{#if yes}}"https://x.example/"{{else}}'https://y.example/'{{/if}}>x</a>`,
      `<a href="[1 https://x.example/]">x</a>`,
      `<a href='[1 https://y.example/]'>x</a>`,
    ],
    [
      `<a {{#if yes}}data-track="off" {{/if}}href="https://x.example/">x</a>`,
      `<a  href="https://x.example/">x</a>`,
      `<a href="https://x.example/">x</a>`,
    ],
    [
      `<a {{#if yes}}title="{{else}}x="{{/if}}" href="https://x.example/">x</a>`,
      `<a title="" href="[1 https://x.example/]">x</a>`,
      `<a x="" href="[1 https://x.example/]">x</a>`,
    ],
    [
      `<a href="{{#if yes}}https://x.example/">{{else}}https://y.example/">{{/if}}x</a>`,
      `<a href="[1 https://x.example/]">x</a>`,
      `<a href="https://y.example/">x</a>`,
    ],
    [
      `<a href="https://x.example/{{#if yes}}a">{{else}}b">{{/if}}x</a>`,
      `<a href="https://x.example/a">x</a>`,
      `<a href="https://x.example/b">x</a>`,
    ],
    [
      `<a {{yes}} {{{missing}}}href="https://x.example/">x</a>`,
      `<a true href="[1 https://x.example/]">x</a>`,
      `<a  href="[1 https://x.example/]">x</a>`,
    ],
    [`<{{yes}} href="https://x.example/">`, `<true href="https://x.example/">`, `< href="https://x.example/">`],
    [
      `\uE000<a href="https://x.example/\uE000">{{yes}}</a>`,
      `\uE000<a href="[1 https://x.example/%EE%80%80]">true</a>`,
      `\uE000<a href="[1 https://x.example/%EE%80%80]"></a>`,
    ],
  ])("%s", (html, yes, no) => {
    expect(both(html)).toEqual([yes, no]);
  });
});

describe("conditional comments of Outlook", () => {
  test.each<[string, string]>([
    [
      `<!--[if mso]><a href="https://x.example/">x</a><![endif]-->`,
      `<!--[if mso]><a href="[1 https://x.example/]">x</a><![endif]-->`,
    ],
    [
      `<!--[if (gte mso 9)|(IE)]><v:roundrect href="https://x.example/?a=1&amp;b=2" arcsize="8%"><center>Go</center></v:roundrect><![endif]-->`,
      `<!--[if (gte mso 9)|(IE)]><v:roundrect href="[1 https://x.example/?a=1&b=2]" arcsize="8%"><center>Go</center></v:roundrect><![endif]-->`,
    ],
    [
      `<!--[if !mso]><!--><a href="https://x.example/">x</a><!--<![endif]-->`,
      `<!--[if !mso]><!--><a href="[1 https://x.example/]">x</a><!--<![endif]-->`,
    ],
    [
      `<!--[if !mso]><!-- --><a href="https://x.example/">x</a><!-- <![endif]-->`,
      `<!--[if !mso]><!-- --><a href="[1 https://x.example/]">x</a><!-- <![endif]-->`,
    ],
    [
      `<![if !mso]><a href="https://x.example/">x</a><![endif]>`,
      `<![if !mso]><a href="[1 https://x.example/]">x</a><![endif]>`,
    ],
    [
      `<!--[if mso]><v:rect HREF=https://x.example/ ><V:FILL src="https://x.example/i.png"/></v:rect><area href='https://y.example/'><![endif]-->`,
      `<!--[if mso]><v:rect HREF=[1 https://x.example/] ><V:FILL src="https://x.example/i.png"/></v:rect><area href='[2 https://y.example/]'><![endif]-->`,
    ],
    [
      `<!--[if mso]><a href="https://x.example/{{#if yes}}a{{/if}}" data-track-name="b"><![endif]-->`,
      `<!--[if mso]><a href="[1 https://x.example/a]"><![endif]-->`,
    ],
    [
      `<!--[if mso]>{{#if yes}}<a href="https://x.example/">{{/if}}<![endif]--><a href="https://y.example/">`,
      `<!--[if mso]><a href="[1 https://x.example/]"><![endif]--><a href="[2 https://y.example/]">`,
    ],
    [
      `<!--[if mso]><style><a href="https://x.example/"></style><![endif]-->`,
      `<!--[if mso]><style><a href="https://x.example/"></style><![endif]-->`,
    ],
    [`<!--[if mso]><a href="https://x.example/"`, `<!--[if mso]><a href="https://x.example/"`],
  ])("%s", (html, sent) => {
    expect(trackedHtml(html, { yes: true })).toBe(sent);
  });

  test("what only one of the two shows is no label of the other", () => {
    const html = `<a href="https://x.example/"><!--[if mso]><i>&nbsp;gap</i><![endif]-->Buy</a><!--[if mso]><v:rect href="https://y.example/"><center>Outlook</center></v:rect><![endif]-->`;
    expect(print({ html }).links.map(({ label }) => label)).toEqual(["Buy", "Outlook"]);
  });
});

describe("the open pixel", () => {
  const IMG = `<img src="[open]" width="1" height="1" alt="" style="width:1px;height:1px;border:0">`;
  const opened = (html: string, variables = {}): string => trackedHtml(html, variables, { opens: true });

  test.each<[string, string]>([
    ["<html><body>x</body></html>", `<html><body>x${IMG}</body></html>`],
    ["<body>x</BODY >", `<body>x${IMG}</BODY >`],
    ["<body>x</body><!-- </body> --></html>", `<body>x${IMG}</body><!-- </body> --></html>`],
    ["a</body>b</body>c", `a</body>b${IMG}</body>c`],
    ["<!--[if mso]></body><![endif]-->x", `<!--[if mso]></body><![endif]-->x${IMG}`],
    ["<script>'</body>'</script>x", `<script>'</body>'</script>x${IMG}`],
    ["<p>x", `<p>x${IMG}`],
    ["x</bodyguard></body", `x</bodyguard></body${IMG}`],
    ["{{#if a}}x</body>{{else}}y</body>{{/if}}", `y</body>${IMG}`],
    ["{{#if a}}{{/if}}</body>{{name}}", `${IMG}</body>`],
    ["x{{name}}", `x${IMG}`],
  ])("%s", (html, sent) => {
    expect(opened(html)).toBe(sent);
  });

  test("is an element of AMP in a document of AMP, which may come as HTML", () => {
    for (const attribute of ["amp4email", "⚡4email", 'AMP4EMAIL=""']) {
      expect(opened(`<html ${attribute}><body></body></html>`)).toContain(
        `<amp-img src="[open]" width="1" height="1" alt=""></amp-img></body>`,
      );
    }
  });

  test("goes without tracked links, and they without it", () => {
    const html = `<a href="https://x.example/">x</a>`;
    expect(trackedHtml(html, {}, { clicks: false, opens: true })).toBe(html + IMG);
    expect(print({ html }, { clicks: false, opens: true }).links).toMatchObject([
      { untracked: "clicks are not tracked" },
    ]);
  });
});

test("the trap has the next number and leads to the tracking server; nobody sees it", () => {
  const html = `<body><a href="https://x.example/">x</a><a href="#y">y</a></body>`;
  expect(trackedHtml(html, {}, { trap: true, opens: true })).toContain(
    `y</a><a href="[trap 3 https://t.example.com]" style="display:none" aria-hidden="true" tabindex="-1"></a><img src="[open]"`,
  );
  expect(print({ html }, { trap: true }).links).toHaveLength(2);
});

describe("who is named", () => {
  const key = { id: 1, secret: Buffer.alloc(32, 1) };
  const html = `<a href="https://x.example/">x</a><a href="{{url}}">y</a>{{mirrorUrl}} {{unsubscribeUrl}} {{messageToken}}`;
  const links = (text: string): [string | undefined, number | undefined][] =>
    [...text.matchAll(/\/[ro]\/([^/]+)\/([a-z2-7]+)/g)].map(([, token, link]) => [
      token,
      verifyLink([key], link ?? "")?.delivery,
    ]);

  test("the message in all of them, and the variables for addresses of ours", () => {
    const made = print({ html }, { opens: true }, VARIABLES).html;
    expect(links(made)).toEqual([
      [TOKEN, 7],
      [TOKEN, 7],
      [TOKEN, 7],
    ]);
    expect(made).toContain(`https://t.example.com/m/${TOKEN} https://t.example.com/u/${TOKEN} ${TOKEN}`);
  });

  test("nobody where tracking is anonymous, except where readers act for themselves", () => {
    const made = print({ html }, { opens: true, anonymous: true }, VARIABLES).html;
    expect(links(made)).toEqual([
      ["-", 7],
      ["-", 7],
      ["-", 7],
    ]);
    expect(made).toContain(`https://t.example.com/m/${TOKEN} https://t.example.com/u/${TOKEN} -`);
  });

  test("no delivery in single messages", () => {
    expect(links(print({ html }, { single: true }, VARIABLES).html)).toEqual([
      [TOKEN, 0],
      [TOKEN, 0],
    ]);
  });

  test("each message of one composer its own delivery, in any order, more than are kept", () => {
    const composer = compileContent({ ...CONTENT, html, tracking: TRACKING }, { token: [key], dkim: [] });
    for (const delivery of [1, 2, 1, ...Array.from({ length: 100 }, (_, i) => i + 1), 1]) {
      const made = composer.preview(
        { id: 5, address: "a@b.example", variables: '{"url":"https://y.example/"}', delivery },
        0,
      );
      if (typeof made === "string") throw new Error(made);
      expect(links(made.html).map(([, named]) => named)).toEqual([delivery, delivery]);
    }
  });

  test("without tracking there is no address of ours, but for the one in the header", () => {
    expect(print({ html: "({{mirrorUrl}})({{unsubscribeUrl}})" }, null).html).toBe("()()");
    const listUnsubscribe = { url: "https://u.example", mailtoDomain: "" };
    expect(print({ html: "{{unsubscribeUrl}}", listUnsubscribe }, null).html).toBe(`https://u.example/u/${TOKEN}`);
    expect(print({ html: "{{unsubscribeUrl}}", listUnsubscribe }).html).toBe(`https://u.example/u/${TOKEN}`);
  });
});

test("the AMP part is tracked like the HTML, with numbers behind it; what its own templates fill in stays", () => {
  const amp = (a: string, t: string, end: string): string =>
    `<html amp4email><body><a href="${a}">a</a><template type="amp-mustache"><a href="${t}">t</a>` +
    `<a href="https://x.example/\\{{id}}">b</a></template>${end}</body></html>`;
  const html = `<a href="https://y.example/">y</a>`;
  const written = amp("https://x.example/{{code}}", "https://x.example/t", "");
  const printed = print({ html, amp: written }, { opens: true, trap: true }, VARIABLES);
  const pixel = `<amp-img src="[open]" width="1" height="1" alt=""></amp-img>`;
  expect(resolve(printed.amp)).toBe(
    amp("[2 https://x.example/c-1]", "[3 https://x.example/t]", pixel).replace("\\{{", "{{"),
  );
  expect(resolve(printed.html)).toContain(`[1 https://y.example/]`);
  expect(printed.links.map(({ part, untracked }) => `${part} ${untracked}`)).toEqual([
    "html ",
    "amp ",
    "amp ",
    "amp is filled in by the program that shows it",
  ]);
});
