/** A message as a web page: who may ask, which tokens are believed, and that it is what the reader has. */
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { type Log, silentLog } from "../../src/base/log.ts";
import { volumeOfId } from "../../src/db/volumes.ts";
import type { Content, Tracking } from "../../src/model/delivery.ts";
import { verifyLink } from "../../src/model/link.ts";
import { signToken } from "../../src/model/token.ts";
import { openTestApi, type Answer } from "../support/api.ts";
import { compileContent } from "../../src/render/compose.ts";
import { openMirrorPages } from "../../src/web/mirror-pages.ts";
import { type DeliveryOptions, putDelivery, testContent } from "../support/ledger.ts";

const SECRET = "mirror-secret".padEnd(40, "x");
const OLD = { id: 1, secret: Buffer.alloc(32, 1) };
const NEW = { id: 2, secret: Buffer.alloc(32, 2) };
let ring = [NEW, OLD];
let broken = false;
const logged: string[] = [];
const listening: Log = {
  ...silentLog,
  error: (fields, text) => void logged.push(`${text} ${inspect(fields)}`),
};
const api = await openTestApi(
  { tracking: { url: "https://t.example.com" } },
  { servers: { secret: () => Buffer.from(SECRET), tokenKeys } },
  listening,
);
const { sql } = api.db;
function tokenKeys(): typeof ring {
  if (broken) throw new Error("broken");
  return ring;
}

const ask = (token: string, secret: string | null = SECRET): Promise<Answer> =>
  api.call("GET", `/v1/mirror/${encodeURIComponent(token)}`, undefined, { token: secret });

const TRACKING: Tracking = {
  url: "https://t.example.com",
  clicks: false,
  opens: false,
  textLinks: true,
  urlLabels: false,
  anonymous: false,
  trap: false,
  single: false,
};
let count = 0;
/** A message of a content of its own; its token is signed by `key`. */
async function message(
  content: DeliveryOptions["content"] = {},
  variables: Record<string, unknown> = { name: "Ann" },
  key = NEW,
): Promise<{ id: number; deliveryId: number; token: string }> {
  const made = await putDelivery(sql, {
    addresses: [`a${++count}@x.example`],
    variables: [variables],
    content: { feedbackId: `test:${count}`, tracking: TRACKING, ...content },
  });
  return { id: made.firstId, deliveryId: made.id, token: signToken(key, made.firstId) };
}

test("it is for redirection servers: no token of the API and no token of a message opens it", async () => {
  const { token } = await message();
  for (const secret of [api.token, token, null, "", `${SECRET}x`]) {
    const refused = await ask(token, secret);
    expect(refused.status).toBe(401);
    expect(refused.text).not.toContain("Ann");
  }
});

test("a token that is not genuine: 404, the same as for a message that is not there", async () => {
  const { id, token } = await message();
  const flipped = token.slice(0, 5) + (token[5] === "a" ? "b" : "a") + token.slice(6);
  const answers = await Promise.all(
    [
      "-",
      "x",
      token.slice(1),
      `${token}a`,
      flipped,
      signToken({ id: 2, secret: Buffer.alloc(32, 9) }, id),
      signToken({ id: 3, secret: NEW.secret }, id),
      signToken(NEW, id + 1),
      signToken(NEW, 0),
      signToken(NEW, 5),
      signToken(NEW, 2 ** 53 - 1),
      signToken(NEW, 2 ** 32 * 3_000_000),
      "../../v1/deliveries",
      "' or 1=1 --",
      "%00",
      "a".repeat(99),
    ].map((wrong) => ask(wrong)),
  );
  expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
  expect(answers[0]).toMatchObject({ status: 404, body: { detail: "there is no such message" } });
  expect((await ask("a".repeat(101))).status).toBe(400);
});

test("what fails is told in the log without the reader's token, which would unsubscribe them", async () => {
  const { token } = await message();
  broken = true;
  expect((await ask(token)).status).toBe(500);
  broken = false;
  expect(logged.splice(0).join("\n")).toMatch(/^a request failed (?![^]*[a-z2-7]{31})[^]*mirror\/…/);
});

test("the keys of now count: a retired one opens nothing", async () => {
  const { token } = await message({}, {}, OLD);
  expect((await ask(token)).status).toBe(200);
  expect((await ask(token.toUpperCase())).status).toBe(200);
  ring = [NEW];
  expect((await ask(token)).status).toBe(404);
  ring = [NEW, OLD];
});

test("the page has what the ledger has of the recipient, escaped as in the mail, and says whose delivery it is", async () => {
  const { deliveryId, token } = await message(
    { html: "<p>Hello {{name}} of {{city}}</p><i>{{email}}</i>", text: "never shown", globals: { city: "Ulm" } },
    { name: "<script>alert(1)</script>" },
  );
  const page = await ask(token);
  expect(page.text).toContain("<p>Hello &lt;script&gt;alert(1)&lt;/script&gt; of Ulm</p>");
  expect(page.text).toMatch(/<i>a\d+@x\.example<\/i>/);
  expect(page.headers).toMatchObject({
    "content-type": "text/html; charset=utf-8",
    "x-delivery": String(deliveryId),
    "cache-control": "no-store",
    "content-security-policy": expect.stringContaining("script-src 'none'"),
  });
});

test("without HTML the text is the page, and nothing in it is markup", async () => {
  const { token } = await message(
    { html: "", text: "Dear {{name}},\n  </pre><script>x</script>", subject: "</title>{{name}}" },
    { name: "A&B" },
  );
  const page = await ask(token);
  expect(page.text).toContain("Dear A&amp;B,\n  &lt;/pre&gt;&lt;script&gt;x&lt;/script&gt;</pre>");
  expect(page.text).toContain("<title>&lt;/title&gt;A&amp;B</title>");
  expect(page.headers["content-security-policy"]).toMatch(/^default-src 'none'/);
});

test("of a tracked mail it is the mail itself, with its links, but for the open pixel", async () => {
  const html =
    '<p>{{name}} <a href="https://shop.example/a?b=1&amp;c=2">all</a> <a href="https://shop.example/{{name}}" data-track-name="own">own</a> ' +
    '<a href="{{mirrorUrl}}">page</a> <a href="{{unsubscribeUrl}}">out</a></p>';
  const content = testContent({
    html,
    amp: "<!doctype html><html amp4email><a href=https://amp.example/>x</a></html>",
    tracking: { ...TRACKING, clicks: true, opens: true },
  });
  const { id, deliveryId, token } = await message(content, { name: "Ann" });
  const mail = compileContent(content, { token: [NEW], dkim: [] }).preview(
    { id, address: "a@x.example", variables: JSON.stringify({ name: "Ann" }), delivery: deliveryId },
    0,
  );
  if (typeof mail === "string") throw new Error(mail);
  const page = (await ask(token)).text;
  const pixel = /<img src="https:\/\/t\.example\.com\/o\/[^"]+"[^>]*>/g;
  expect(mail.html.match(pixel)).toHaveLength(1);
  expect(page).toBe(mail.html.replace(pixel, ""));
  const links = [...page.matchAll(/\/r\/([a-z2-7]+)\/([a-z2-7]+)"/g)].map(([, who, link]) => [
    who,
    verifyLink(ring, link!),
  ]);
  expect(links).toEqual([
    [token, { kind: "click", delivery: deliveryId, number: 1, url: "https://shop.example/a?b=1&c=2" }],
    [token, { kind: "click", delivery: deliveryId, number: 2, url: "https://shop.example/Ann" }],
  ]);
  expect(page).toContain(`https://t.example.com/u/${token}`);
});

test("of an anonymous delivery it says so: who looks at it is not to be written down", async () => {
  const named = await ask((await message()).token);
  const anonymous = await ask((await message({ tracking: { ...TRACKING, anonymous: true } })).token);
  expect([named, anonymous].map(({ status, headers }) => [status, headers["x-anonymous"]])).toEqual([
    [200, undefined],
    [200, "1"],
  ]);
});

test("pictures that the mail carries inside are in the page; others and attachments are not", async () => {
  const png = Buffer.from("a picture").toString("base64");
  const image = { filename: "logo.png", contentType: "image/png", data: png, contentId: "logo$&" };
  const file = { filename: "x.pdf", contentType: "application/pdf", data: "AAAA", contentId: "" };
  const { token } = await message({
    html: '<img src="cid:logo$&"><td background=cid:logo$&><p style="background:url(cid:logo$&)">cid:logo$& <img src="cid:none">',
    attachments: [image, file],
  });
  const url = `data:image/png;base64,${png}`;
  expect((await ask(token)).text).toBe(
    `<img src="${url}"><td background=${url}><p style="background:url(${url})">cid:logo$& <img src="cid:none">`,
  );
});

test("one picture shown a thousand times does not make a page of gigabytes", async () => {
  const image = { filename: "x", contentType: "image/png", data: "A".repeat(2 ** 20), contentId: "x" };
  const { token } = await message({ html: '<img src="cid:x">'.repeat(1000), attachments: [image] });
  const { status, text } = await ask(token);
  expect([status, text.length < 13 * 2 ** 20]).toEqual([200, true]);
});

test("the template's now is when it was sent", async () => {
  const { id, token } = await message({ html: '{{date @now "yyyy"}}' });
  const leaf = sql(`event_${volumeOfId(id)}`);
  await sql`insert into ${leaf} (message_id, at, type) values (${id}, '2019-05-05T12:00:00Z', 3), (${id}, '2020-05-05T12:00:00Z', 2)`;
  expect((await ask(token)).text).toBe("2020");
});

test("a stopped delivery keeps its pages; one whose links are disabled or have expired loses them", async () => {
  const { deliveryId, token } = await message();
  await sql`update delivery set state = 'stopped' where id = ${deliveryId}`;
  expect((await ask(token)).status).toBe(200);
  const stop = (body: object): Promise<Answer> => api.call("PUT", `/v1/deliveries/${deliveryId}/tracking`, body);
  await stop({ expiresAt: new Date(Date.now() + 3_600_000).toISOString() });
  expect((await ask(token)).status).toBe(200);
  await stop({ url: "https://shop.example/" });
  expect((await ask(token)).status).toBe(200);
  await stop({ expiresAt: "2026-01-01T00:00:00Z" });
  expect((await ask(token)).status).toBe(410);
  await stop({ disabled: true });
  const gone = await ask(token);
  expect(gone).toMatchObject({ status: 410, body: { detail: "the delivery's links are stopped" } });
  expect(gone.text).not.toContain("Ann");
  await api.call("DELETE", `/v1/deliveries/${deliveryId}/tracking`);
  expect((await ask(token)).status).toBe(200);
});

test("what cannot be shown any more is not there: variables that break it, a volume that was dropped", async () => {
  const broken = await message({ html: "{{#each list}}{{this}}{{/each}}" }, { list: [] });
  const leaf = sql(`message_${volumeOfId(broken.id)}`);
  await sql`update ${leaf} set variables = '[1' where id = ${broken.id}`;
  expect((await ask(broken.token)).status).toBe(404);
  await sql`alter table message detach partition ${leaf}`;
  await sql`drop table ${leaf}`;
  expect(await ask(broken.token)).toMatchObject({ status: 404, body: { detail: "there is no such message" } });
});

test("contents that do not fit together stay apart: the same page before and after forty others", async () => {
  const { token } = await message({ html: "<p>first {{name}}</p>" });
  const first = (await ask(token)).text;
  for (let i = 0; i < 40; i++)
    expect((await ask((await message({ html: `<p>${i} {{name}}</p>` })).token)).text).toBe(`<p>${i} Ann</p>`);
  expect((await ask(token)).text).toBe(first);
});

test("more at once than it may be: 503 at once, and a second later again", async () => {
  const { id, token } = await message();
  const locked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const holding = sql.begin(async (tx) => {
    await tx`lock table ${tx(`message_${volumeOfId(id)}`)} in access exclusive mode`;
    locked.resolve();
    await release.promise;
  });
  await locked.promise;
  const waiting = Array.from({ length: 64 }, () => ask(token));
  const one = await ask(token);
  expect(one).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
  release.resolve();
  await holding;
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual(Array.from({ length: 64 }, () => 200));
  expect((await ask(token)).status).toBe(200);
});

test("a content that many ask for at once is read once; one that could not be read is read again", async () => {
  const pages = openMirrorPages();
  let loads = 0;
  const load = async (): Promise<Content> => {
    if (++loads === 1) throw new Error("the database is away");
    return testContent({ html: "{{name}}" });
  };
  const page = (name: string): ReturnType<typeof pages.page> =>
    pages.page({ hash: "h", load }, [NEW], {
      id: 1,
      deliveryId: 1,
      address: "a@x.example",
      variables: JSON.stringify({ name }),
      at: 0,
    });
  await expect(page("x")).rejects.toThrow("the database is away");
  const names = Array.from({ length: 20 }, (_, i) => `reader ${i}`);
  expect((await Promise.all(names.map(page))).map((made) => (typeof made === "string" ? made : made.html))).toEqual(
    names,
  );
  expect(loads).toBe(2);
});
