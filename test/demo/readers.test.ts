/** Pretend readers: who they are, what they see of a letter, and that nothing which is answered wrongly escapes them. */
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { letter as submitted, variablesOf } from "../../demo/delivery.ts";
import { openLetters } from "../../demo/internet/letters.ts";
import {
  APPLE,
  APPLE_PROXY,
  BROWSERS,
  GMAIL_PROXY,
  household,
  SECURITY_PRODUCT,
  YAHOO_PROXY,
} from "../../demo/readers/agents.ts";
import { openNet } from "../../demo/readers/browse.ts";
import { linksOf, readLetter } from "../../demo/readers/letter.ts";
import { type Made, nothingMade } from "../../demo/readers/made.ts";
import { openReader, type Reader } from "../../demo/readers/reader.ts";
import { leadsOf } from "../../demo/readers/template.ts";
import { drawsOf, isReader, ROLES, rolesOf } from "../../demo/readers/who.ts";
import { agentRule, networkRule } from "../../src/model/visitor.ts";

const people = (count: number): string[] => Array.from({ length: count }, (_, i) => `p${i}@plain.example`);

describe("who reads", () => {
  test("a fifth, but no more than some hundreds; the same ones each time, others with another seed", () => {
    const readers = (count: number, seed: number): string[] => people(count).filter((to) => isReader(to, seed, count));
    expect(readers(2000, 1).length).toBeGreaterThan(300);
    expect(readers(2000, 1).length).toBeLessThan(500);
    expect(readers(100_000, 1).length).toBeLessThan(800);
    expect(readers(2000, 1)).toEqual(readers(2000, 1));
    expect(readers(2000, 1)).not.toEqual(readers(2000, 2));
  });

  test("every kind of reader is among a few, whatever order they are given in", () => {
    const some = people(ROLES.length);
    const roles = rolesOf(some, 7);
    expect(new Set(roles.values())).toEqual(new Set(ROLES));
    const again = rolesOf([...some].reverse(), 7);
    expect(some.map((to) => again.get(to))).toEqual(some.map((to) => roles.get(to)));
    const [one, two] = [drawsOf("a@b.example", 1), drawsOf("a@b.example", 1)];
    expect([one(100), one(100), one(100)]).toEqual([two(100), two(100), two(100)]);
  });

  test("what they call themselves is known for what it is", () => {
    expect(BROWSERS.map((agent) => agentRule(agent))).toEqual(BROWSERS.map(() => null));
    for (let n = 0; n < 100_000; n += 997) expect(networkRule(household(n))).toBeNull();
    expect([GMAIL_PROXY, YAHOO_PROXY, APPLE_PROXY, SECURITY_PRODUCT].map((agent) => agentRule(agent)?.class)).toEqual([
      "proxy",
      "proxy",
      "prefetch",
      "scanner",
    ]);
    expect(networkRule(APPLE)?.class).toBe("prefetch");
  });
});

describe("a letter", () => {
  test("is kept whole for readers, the first one of each", async () => {
    const letters = openLetters((address) => address === "ann@x.example");
    const bytes = Buffer.from("From: a\r\n\r\none");
    letters.take("Ann@x.example", bytes);
    bytes.fill(0);
    letters.take("ann@x.example", Buffer.from("From: a\r\n\r\ntwo"));
    letters.take("bob@x.example", Buffer.from("From: a\r\n\r\nthree"));
    expect(await letters.write("/dev/null")).toEqual([{ to: "ann@x.example", at: 0, bytes: 14 }]);
  });

  test("is read as a mail program does: what is hidden is apart, one-click only where it is offered", async () => {
    const raw = (post: string): Buffer =>
      Buffer.from(
        `From: a@x.example\r\nList-Unsubscribe: <mailto:u@x.example>, <https://t.example/u/abc>\r\n${post}` +
          "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
          '<a href=3D"https://t.example/r/a?x=3D1&amp;y=3D2">one</a><a style=3D"display: none" href=3D"https://t.example/r/b"></a>' +
          "<img src=3Dhttps://t.example/o/c.gif>\r\n",
      );
    const post = "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n";
    expect(await readLetter("ann@x.example", raw(post))).toEqual({
      to: "ann@x.example",
      links: ["https://t.example/r/a?x=1&y=2"],
      hidden: ["https://t.example/r/b"],
      images: ["https://t.example/o/c.gif"],
      oneClick: "https://t.example/u/abc",
    });
    expect((await readLetter("ann@x.example", raw(""))).oneClick).toBe("");
  });

  test("leads where its template and the recipient's variables say", () => {
    const html =
      '<a href="https://s.example/a?x=1&amp;n={{city}}">a</a><a href="{{mirrorUrl}}">m</a><a href="https://s.example/{{sku}}">b</a>';
    expect(leadsOf(html, { city: "Hill Énd", sku: "k&1" })).toEqual([
      { number: 1, url: "https://s.example/a?x=1&n=Hill%20%C3%89nd" },
      { number: 3, url: "https://s.example/k&1" },
    ]);
    const own = leadsOf(submitted().html, variablesOf("amber.17@plain.example", 1));
    expect(own).toHaveLength(linksOf(submitted().html).links.length - 2);
    expect(own.every(({ url }) => /^https:\/\/www\.example\.com\/[ -~]+$/.test(url) && !url.includes("{"))).toBe(true);
  });
});

const SELF = { agent: BROWSERS[0], address: "100.64.0.1" };

/** A reader of a letter with one of each link, before a redirection server that answers as it likes. */
async function readerOf(answer: RequestListener, made: Made): Promise<{ reader: Reader; base: string }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const net = openNet();
  onTestFinished(() => {
    net.close();
    server.close();
  });
  const letter = {
    to: "ann@x.example",
    links: [`${base}/r/t/1`, `${base}/m/t`, `${base}/u/t`],
    hidden: [`${base}/r/t/4`],
    images: [`${base}/o/t/0.gif`],
    oneClick: `${base}/u/t`,
  };
  return { reader: openReader(net, letter, [{ number: 1, url: "https://s.example/a" }], base, made), base };
}

async function doAll({ reader, base }: { reader: Reader; base: string }): Promise<void> {
  await reader.open(SELF, { who: "people" });
  await reader.click(SELF, reader.clickable[0]!, { who: "people" });
  await reader.trap(SELF);
  await reader.mirror(SELF, "people");
  await reader.lookAtUnsubscribing(SELF);
  await reader.unsubscribe(SELF, `${base}/u/t`, { type: "text/plain", text: "x" }, true);
  await reader.tamper(SELF, `${base}/r/x/1`);
}

/** As it should be. */
const honest: RequestListener = ({ url = "" }, response) => {
  if (url.startsWith("/r/t/")) return response.writeHead(302, { location: "https://s.example/a" }).end();
  if (url.startsWith("/r/")) return response.writeHead(404, { "content-type": "text/html" }).end();
  return response.writeHead(200, { "content-type": url.startsWith("/o/") ? "image/gif" : "text/html" }).end();
};

describe("an answer", () => {
  test("that is right is written down as made", async () => {
    const made = nothingMade();
    await doAll(await readerOf(honest, made));
    expect(made.wrong).toEqual([]);
    expect(made.hits.map(({ kind, link, who, counts }) => `${kind} ${link} ${who} ${counts}`)).toEqual([
      "opened 0 people true",
      "clicked 1 people true",
      "clicked 4 machines false",
      "mirror 0 people true",
      "unsubscribed 0 people true",
    ]);
    expect([...made.unsubscribed]).toEqual(["ann@x.example"]);
  });

  test.each([
    ["leads elsewhere", /^\/r\/t\/1/, { location: "https://s.example/b" }, 302, "should lead to https://s.example/a"],
    ["sets a cookie at a click", /^\/r\/t\/1/, { location: "https://s.example/a", "set-cookie": "a=1" }, 302, "link 1"],
    ["redirects a link that was tampered with", /^\/r\/x/, { location: "https://s.example/a" }, 302, "tampered with"],
    ["redirects who unsubscribes", /^\/u/, { location: "https://s.example/a" }, 302, "unsubscribing was answered 302"],
    ["has no mirror page", /^\/m/, { "content-type": "text/html" }, 503, "the mirror page was answered 503"],
    ["shows no picture", /^\/o/, { "content-type": "text/html" }, 200, "the open was answered 200 text/html"],
  ] as const)("that %s is told", async (_, path, headers, status, sentence) => {
    const made = nothingMade();
    const wrong: RequestListener = (request, response) =>
      path.test(request.url ?? "") ? response.writeHead(status, headers).end() : honest(request, response);
    await doAll(await readerOf(wrong, made));
    expect(made.wrong.length).toBeGreaterThan(0);
    expect(made.wrong.join("\n")).toContain(sentence);
  });
});
