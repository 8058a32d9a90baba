/** `postilion suspend` and `resume`: on a real database, with what people mistype. */
import { afterAll, beforeEach, expect, test } from "vitest";
import { createDelivery, findDelivery } from "../../src/db/deliveries.ts";
import { changeState } from "../../src/db/states.ts";
import { activeSuspensions, suspensionHistory } from "../../src/db/traffic-holds.ts";
import { resumeText, suspendText } from "../../src/cli/suspend.ts";
import { UsageError } from "../../src/cli/usage.ts";
import { domainProblem } from "../../src/web/why/exchangers.ts";
import { openTestDatabase } from "../support/database.ts";

const db = await openTestDatabase();
afterAll(() => db.close());
beforeEach(async () => void (await db.sql`delete from suspension`));
const NOW = Date.now();
const suspend = (site: string, options: object): Promise<string> => suspendText(db.sql, "alice@m1", site, options, NOW);
const resume = (target: string, options: object = {}): Promise<string> => resumeText(db.sql, "bob@m1", target, options);

test("a site, listed, resumed by its number; who and why stay", async () => {
  const told = await suspend("*.Example.com", { reason: "complaints\u001b[2J", publicId: "3", for: "2h" });
  const [made] = await activeSuspensions(db.sql);
  expect(made).toMatchObject({
    site: "*.example.com",
    publicId: 3,
    by: "alice@m1",
    reason: "complaints [2J",
    until: NOW + 7_200_000,
  });
  expect(told).toMatch(
    /^Suspended: \*\.example\.com from public id 3 until .* UTC \(complaints \[2J; number \d+\)\. Resume with: postilion resume \d+$/,
  );
  const list = await suspend("", {});
  expect(list).toMatch(/^number {2}site +public id {2}by/);
  expect(list).toContain("*.example.com  3          alice@m1");
  expect(await resume(String(made!.id))).toContain("Resumed: *.example.com from public id 3");
  expect(await suspend("", {})).toBe("Nothing is suspended.");
  expect(await suspensionHistory(db.sql, { before: 0, limit: 10 })).toMatchObject([
    { by: "alice@m1", endedBy: "bob@m1" },
  ]);
});

test("a domain of recipients is no name of an exchanger: nothing would be stopped by it", async () => {
  const asked: string[] = [];
  const exchangers = async (domain: string) => {
    asked.push(domain);
    if (domain === "mute.example") return { kind: "none" as const, text: "no answer from the DNS" };
    const own = domain.startsWith("mx") || domain === "small.example";
    return { kind: "names" as const, names: own ? [domain] : ["mx1.big.example", "mx2.big.example"] };
  };
  expect(await domainProblem(exchangers, "Shop.Example.")).toBe(
    "is a domain of recipients, and a suspension is for names of exchangers. Its mail goes to mx1.big.example, mx2.big.example: " +
      'suspend "*.big.example", or this site alone: "mx1.big.example,mx2.big.example"',
  );
  // An exchanger, a domain that is its own, and one of which the DNS says nothing now.
  for (const fine of ["mx1.big.example", "small.example", "mute.example"])
    expect(await domainProblem(exchangers, fine)).toBe("");
  asked.length = 0;
  for (const fine of ["", "*.big.example", "mx1.big.example,mx2.big.example", "mx?.example"])
    expect(await domainProblem(exchangers, fine)).toBe("");
  expect(asked).toEqual([]);
});

test("resumed by what it was made for: only that one", async () => {
  await suspend("mx.a.example", { reason: "x" });
  await suspend("mx.a.example", { reason: "x", publicId: "1" });
  await suspend("", { reason: "x", publicId: "2" });
  await resume("MX.a.example");
  expect((await activeSuspensions(db.sql)).map(({ publicId }) => publicId)).toEqual([1, 2]);
  await resume("", { publicId: "2" });
  await resume("mx.a.example", { publicId: "1" });
  expect(await activeSuspensions(db.sql)).toEqual([]);
});

test("a delivery is paused and goes on, with who and why", async () => {
  const id = await createDelivery(db.sql, {
    name: "n",
    contentHash: new Uint8Array(32),
    contentBody: "{}",
    fromAddress: "a@b.example",
    affinity: "default",
    priority: "normal",
    weight: 1,
    notBefore: null,
    notAfter: null,
    validity: 3600,
    retrySchedule: [60],
    inDoubt: "retry",
  });
  await db.sql`insert into part (delivery_id, first_id, last_id, due_at, pending) values (${id}, 1, 1, now(), 1)`;
  await changeState(db.sql, id, "start", "", "shop");
  expect(await suspend("", { delivery: String(id), reason: "typo" })).toBe(`Delivery ${id} is paused.`);
  expect(await findDelivery(db.sql, id)).toMatchObject({
    state: "paused",
    stateReason: "typo",
    commandedBy: "alice@m1",
  });
  expect(await resume("", { delivery: String(id) })).toBe(`Delivery ${id} is sending.`);
  await changeState(db.sql, id, "stop", "", "shop");
  await expect(suspend("", { delivery: String(id), reason: "x" })).rejects.toThrow(
    "pause is not possible: it is stopped",
  );
});

test.each<[string, object, string]>([
  ["mx.a.example", {}, "say why"],
  ["mx.a.example", { reason: "  " }, "say why"],
  ["mx a", { reason: "x" }, "is in no name of a host"],
  ["mx1.example,*.example", { reason: "x" }, "is either one mask"],
  ["mx.example", { reason: "x", publicId: "one" }, "--public-id is a number"],
  ["mx.example", { reason: "x", for: "soon" }, "--for is a length of time"],
  ["mx.example", { reason: "x", for: "0h" }, "--for is a length of time"],
  ["mx.example", { reason: "x", delivery: "1" }, "--delivery stands alone"],
  ["", { reason: "x", delivery: "first" }, "is not the number of a delivery"],
  ["", { reason: "x", delivery: "999999" }, "there is no delivery"],
])("suspend %s %j: %s", async (site, options, text) => {
  const refused = suspend(site, options);
  await expect(refused).rejects.toThrow(UsageError);
  await expect(refused).rejects.toThrow(text);
  expect(await activeSuspensions(db.sql)).toEqual([]);
});

test.each<[string, object, string]>([
  ["", {}, "resume what?"],
  ["12345", {}, "no such suspension"],
  ["mx.example", {}, "no such suspension"],
  ["1", { delivery: "1" }, "--delivery stands alone"],
])("resume %s %j: %s", async (target, options, text) => {
  await expect(resume(target, options)).rejects.toThrow(text);
});
