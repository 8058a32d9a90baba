/** When a policy is fetched, kept, renewed and believed; who fetches is a function here, the real one is in tls-policy.test.ts. */
import { beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../../../src/base/log.ts";
import type { StoredPolicy } from "../../../src/db/mta-sts.ts";
import type { Fetched } from "../../../src/http/fetch.ts";
import type { Answer } from "../../../src/mta/dns/answer.ts";
import { openSts, type PolicyStore, type Sts } from "../../../src/mta/tls-policy/sts.ts";
import { type HandClock, handClock } from "../../support/clock.ts";

const DAY = 86_400_000;
let clock: HandClock;
let txt: Answer<string>;
let fetched: Fetched | Promise<Fetched>;
let fetches: number;
let failed: string[];
let table: Map<string, StoredPolicy>;
let broken: boolean;
const store: PolicyStore = {
  load: async (since) => {
    if (broken) throw new Error("the database is away");
    return [...table.values()].filter((p) => p.fetchedAt > since && p.expiresAt > clock.now());
  },
  find: async (domain) => {
    if (broken) throw new Error("the database is away");
    return table.get(domain) ?? null;
  },
  save: async (policy) => {
    if (broken) throw new Error("the database is away");
    table.set(policy.domain, policy);
  },
  dropExpired: async () => 0,
};
const record = (...records: string[]): Answer<string> => ({ kind: "records", records, secure: false, name: "d" });
const body = (mode: string, parts = ""): Fetched => ({
  kind: "body",
  text: `version: STSv1\nmode: ${mode}\nmx: mx.good.test\nmax_age: ${7 * 86_400}\n${parts}`,
});
const open = (): Sts =>
  openSts({
    clock,
    log: silentLog,
    store,
    txt: async () => txt,
    fetch: async () => {
      fetches++;
      return await fetched;
    },
    failed: (domain, { result, reason }) => failed.push(`${domain} ${result}: ${reason}`),
  });
/** Lets what needs no time go on. */
const settle = (): Promise<void> => clock.advance(0);

beforeEach(() => {
  clock = handClock();
  txt = record("v=STSv1; id=1");
  fetched = body("enforce");
  fetches = 0;
  failed = [];
  table = new Map();
  broken = false;
});

test("found, fetched, kept here and for the others; the second time nothing is fetched", async () => {
  const sts = open();
  expect(await sts.policy("good.test")).toMatchObject({ id: "1", policy: { mode: "enforce", mx: ["mx.good.test"] } });
  expect(await sts.policy("good.test")).toMatchObject({ id: "1" });
  expect(fetches).toBe(1);
  expect(table.get("good.test")).toMatchObject({ id: "1", fetchedAt: clock.now(), expiresAt: clock.now() + 7 * DAY });
  sts.close();
  expect(clock.pending).toBe(0);
});

test.each<[string, Answer<string>]>([
  ["no record", { kind: "none", secure: false }],
  ["no name", { kind: "no-name", secure: false }],
  ["no answer", { kind: "temporary", text: "the DNS does not answer" }],
  ["two records", record("v=STSv1; id=1", "v=STSv1; id=2")],
  ["the same record twice", record("v=STSv1; id=1", "v=STSv1; id=1")],
])("%s: no policy, no fetch", async (_name, answer) => {
  txt = answer;
  const sts = open();
  expect(await sts.policy("good.test")).toBeNull();
  expect(fetches).toBe(0);
  sts.close();
});

describe("a policy in force", () => {
  test.each<[string, () => void]>([
    ["its record is gone", () => void (txt = { kind: "no-name", secure: false })],
    ["its record is there twice", () => void (txt = record("v=STSv1; id=1", "v=STSv1; id=1"))],
    ["the DNS is blocked", () => void (txt = { kind: "temporary", text: "" })],
    [
      "the record is new and the server gone",
      () => {
        txt = record("v=STSv1; id=2");
        fetched = { kind: "network", text: "refused" };
      },
    ],
    [
      "the record is new and the certificate bad",
      () => {
        txt = record("v=STSv1; id=2");
        fetched = { kind: "certificate", text: "expired" };
      },
    ],
    [
      "the record is new and the policy garbage",
      () => {
        txt = record("v=STSv1; id=2");
        fetched = { kind: "body", text: "<html>" };
      },
    ],
    ["the database is away", () => void (broken = true)],
  ])("stays although %s, until max_age is over", async (_name, happens) => {
    const sts = open();
    await sts.policy("good.test");
    happens();
    await clock.advance(6.9 * DAY);
    expect(await sts.policy("good.test")).toMatchObject({ id: "1" });
    if (!broken) {
      await clock.advance(0.2 * DAY);
      expect(await sts.policy("good.test")).toBeNull();
    }
    sts.close();
  });

  test("is fetched anew when the record's id changes, before it is used", async () => {
    const sts = open();
    await sts.policy("good.test");
    txt = record("v=STSv1; id=2");
    fetched = body("none");
    expect(await sts.policy("good.test")).toMatchObject({ id: "2", policy: { mode: "none" } });
    expect(fetches).toBe(2);
    sts.close();
  });

  test("is fetched anew after a day, behind its use, and lives longer for it", async () => {
    const sts = open();
    await sts.policy("good.test");
    await clock.advance(DAY + 1);
    fetched = body("testing");
    expect(await sts.policy("good.test")).toMatchObject({ policy: { mode: "enforce" } });
    await settle();
    expect(await sts.policy("good.test")).toMatchObject({
      policy: { mode: "testing" },
      expiresAt: clock.now() + 7 * DAY,
    });
    expect(fetches).toBe(2);
    sts.close();
  });

  test("of max_age 0 is good for five minutes: not a fetch a message", async () => {
    fetched = { kind: "body", text: "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 0\n" };
    const sts = open();
    for (let i = 0; i < 10; i++) expect(await sts.policy("good.test")).not.toBeNull();
    expect(fetches).toBe(1);
    await clock.advance(300_001);
    expect(await sts.policy("good.test")).not.toBeNull();
    expect(fetches).toBe(2);
    sts.close();
  });
});

describe("a fetch that fails", () => {
  test.each<[string, Fetched, string]>([
    ["nobody there", { kind: "network", text: "refused" }, "sts-policy-fetch-error: refused"],
    ["a redirect", { kind: "answer", text: "status 301 instead of 200" }, "sts-policy-fetch-error: status 301"],
    ["too slow", { kind: "late", text: "late" }, "sts-policy-fetch-error: late"],
    ["a bad certificate", { kind: "certificate", text: "expired" }, "sts-webpki-invalid: expired"],
    ["garbage", { kind: "body", text: "<html>" }, "sts-policy-invalid: not a field"],
  ])("%s: no policy, told, and left alone for five minutes", async (_name, answer, said) => {
    fetched = answer;
    const sts = open();
    expect(await sts.policy("good.test")).toBeNull();
    expect(failed).toEqual([expect.stringContaining(`good.test ${said}`)]);
    await clock.advance(299_000);
    expect(await sts.policy("good.test")).toBeNull();
    expect(fetches).toBe(1);
    fetched = body("enforce");
    await clock.advance(2_000);
    expect(await sts.policy("good.test")).toMatchObject({ id: "1" });
    sts.close();
  });

  test("is left alone no longer when the system's clock is put back", async () => {
    fetched = { kind: "network", text: "refused" };
    const sts = open();
    expect(await sts.policy("good.test")).toBeNull();
    clock.jump(-DAY);
    fetched = body("enforce");
    await clock.advance(301_000);
    expect(await sts.policy("good.test")).toMatchObject({ id: "1" });
    sts.close();
  });

  test("a slow one keeps nobody longer than five seconds, and is there for the next", async () => {
    const { promise, resolve } = Promise.withResolvers<Fetched>();
    fetched = promise;
    const sts = open();
    const asked = Promise.all([sts.policy("good.test"), sts.policy("good.test")]);
    await clock.advance(5_000);
    expect(await asked).toEqual([null, null]);
    const again = sts.policy("good.test");
    await clock.advance(5_000);
    expect(await again).toBeNull();
    expect(fetches).toBe(1);
    resolve(body("enforce"));
    await settle();
    expect(await sts.policy("good.test")).toMatchObject({ id: "1" });
    sts.close();
  });

  test("a DNS that hangs keeps nobody either, and what was known stays", async () => {
    const sts = open();
    await sts.policy("good.test");
    const stuck = openSts({
      clock,
      log: silentLog,
      store,
      txt: () => new Promise(() => {}),
      fetch: () => new Promise(() => {}),
      failed: () => {},
    });
    const [known, unknown] = [stuck.policy("good.test"), stuck.policy("other.test")];
    await clock.advance(5_000);
    expect(await known).toMatchObject({ id: "1" });
    expect(await unknown).toBeNull();
    sts.close();
    stuck.close();
  });

  test("fifty at once, the rest goes without for now", async () => {
    fetched = new Promise(() => {});
    const sts = open();
    const all = Promise.all(Array.from({ length: 80 }, (_, i) => sts.policy(`d${i}.test`)));
    await clock.advance(5_000);
    expect(new Set(await all)).toEqual(new Set([null]));
    expect(fetches).toBe(50);
    sts.close();
  });
});

describe("several machines, and a restart", () => {
  test("after a restart the policy is there, with the DNS and the server blocked", async () => {
    const before = open();
    await before.policy("good.test");
    before.close();
    txt = { kind: "temporary", text: "" };
    fetched = { kind: "network", text: "" };
    const after = open();
    expect(await after.policy("good.test")).toMatchObject({ id: "1" });
    expect(fetches).toBe(1);
    after.close();
  });

  test("what another machine has fetched is not fetched again", async () => {
    const here = open();
    const there = open();
    await there.policy("good.test");
    expect(await here.policy("good.test")).toMatchObject({ id: "1" });
    expect(fetches).toBe(1);
    // Without a record to ask for, it is learnt within the minute.
    await there.policy("other.test");
    txt = { kind: "none", secure: false };
    expect(await here.policy("other.test")).toBeNull();
    await clock.advance(60_000);
    expect(await here.policy("other.test")).toMatchObject({ id: "1" });
    here.close();
    there.close();
  });

  test("what is in the table and cannot be read is no policy", async () => {
    table.set("good.test", {
      domain: "good.test",
      id: "1",
      body: "?",
      fetchedAt: clock.now(),
      expiresAt: clock.now() + DAY,
    });
    const sts = open();
    expect(await sts.policy("good.test")).toMatchObject({ policy: { mode: "enforce" } });
    expect(fetches).toBe(1);
    sts.close();
  });

  test("no database: policies all the same", async () => {
    broken = true;
    const sts = open();
    expect(await sts.policy("good.test")).toMatchObject({ id: "1" });
    expect(table.size).toBe(0);
    sts.close();
  });
});

test("a flood of domains with large policies does not fill the memory: the oldest are forgotten, and found in the table", async () => {
  fetched = body("enforce", `x: ${"y".repeat(60_000)}\n`);
  const sts = open();
  for (let i = 0; i < 400; i++) await sts.policy(`d${i}.test`);
  expect(fetches).toBe(400);
  await sts.policy("d399.test");
  expect(await sts.policy("d0.test")).toMatchObject({ id: "1" });
  expect(fetches).toBe(400);
  txt = { kind: "none", secure: false };
  // Without a record nobody looks into the table: what is in memory is what counts.
  expect(await sts.policy("d1.test")).toBeNull();
  expect(await sts.policy("d399.test")).toMatchObject({ id: "1" });
  sts.close();
});
