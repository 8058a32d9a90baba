/** `postilion why`: a message, a delivery, a domain, by number or name; over the same facts as the API. */
import { afterAll, expect, test } from "vitest";
import { reasonOf, whyDepsOf } from "../../src/cli/why.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { openTestApi } from "../support/api.ts";
import { openDnsServer } from "../support/dns-server.ts";
import { laneReport, openFakeStat } from "../support/stat-answers.ts";

const api = await openTestApi();
const dns = await openDnsServer({ "a.example": { MX: [[10, "mx.a.example"]] }, "gone.example": "NXDOMAIN" as never });
afterAll(() => dns.close());
const stat = await openFakeStat();
const settings = parseSettings({ mta: { dns: { servers: [`127.0.0.1:${dns.port}`] } } });
let away = "";
const deps = () =>
  whyDepsOf(api.db.sql, settings, async (what, args) =>
    away === "" ? { data: await stat.ask(what, args) } : { why: away },
  );
await api.db.sql`insert into mta (owner, identity, seen_at) values ('m1/0', 'x', now())`;

const sent = await api.post("/v1/messages", { to: "ann@a.example", from: "shop@example.com", subject: "s", text: "t" });
const { id, deliveryId } = sent.body as { id: number; deliveryId: number };

test("a message and its delivery", async () => {
  const message = await reasonOf(deps(), String(id));
  expect(message.text).toMatch(
    new RegExp(`^Message ${id} \\(pending\\): It is due since .* and no machine has claimed it yet`),
  );
  expect(message).toMatchObject({ known: true, data: { id, hold: { kind: "unclaimed" } } });
  const delivery = await reasonOf(deps(), String(deliveryId));
  expect(delivery.text).toMatch(
    new RegExp(`^Delivery ${deliveryId} \\(sending\\): 1 of 1 open messages are for a\\.example: It is due since`),
  );
  expect(delivery.text).toContain("1 accepted: 0 sent, 1 pending");
  expect(delivery.text).toMatch(/\ndomain +open +with an mta +why\na\.example +1 +0 +It is due/);
});

test("a domain, or an address in it: what holds it, and what is open", async () => {
  expect((await reasonOf(deps(), "a.example")).text).toMatch(
    /^a\.example \(mx\.a\.example\): Nothing holds mail to it\.\nOpen: 1 message of 1 delivery, 0 with an mta/,
  );
  stat.lanes("m1/0", [
    laneReport({
      site: "mx.a.example",
      mx: "mx.a.example",
      hold: { kind: "unreachable", by: "m1/0", text: "refused\u001b", since: 1_700_000_000_000, until: 0 },
    }),
  ]);
  const held = await reasonOf(deps(), "ann@A.example");
  expect(held.text).toContain(
    "a.example (mx.a.example): Refused, set by m1/0, since 2023-11-14 22:13:20 UTC; tried again by itself.",
  );
  expect(held.data).toMatchObject({
    domain: "a.example",
    state: "waiting",
    hold: { kind: "unreachable", since: "2023-11-14T22:13:20.000Z" },
  });
  expect((await reasonOf(deps(), "nowhere.example")).text).toMatch(
    /^nowhere\.example: The DNS does not say where its mail goes: no such domain/,
  );
});

test("no statistics server: what is known, and that it is not all", async () => {
  away = "no statistics server answers\u001b";
  for (const target of [String(id), "a.example"]) {
    const told = await reasonOf(deps(), target);
    expect(told.known).toBe(false);
    expect(told.text).toContain("no statistics server answers");
    expect(told.text).not.toContain("\u001b");
  }
  away = "";
});

test.each([
  "999999",
  String(2 ** 32 * 5000),
  "",
  "nonsense",
  "a b.example",
  "../etc",
  "x".repeat(300),
  "\u001b[2J.example",
])("%s: neither", async (target) => {
  const told = reasonOf(deps(), target);
  await expect(told).rejects.toThrow(UsageError);
  await expect(told).rejects.not.toThrow("\u001b");
});
