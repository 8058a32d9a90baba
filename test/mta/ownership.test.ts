/** Waiting for the name of an mta: a dead holder is waited for, a living one is a fault, and who lost the name ends. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import { claimOwner } from "../../src/db/owners.ts";
import { type Ownership, openOwnership } from "../../src/mta/ownership.ts";
import { type HandClock, handClock } from "../support/clock.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { until } from "../support/until.ts";

const LEASE = 60_000;
let db: TestDatabase;
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());

interface Waiting {
  readonly opened: Promise<Ownership>;
  readonly clock: HandClock;
  readonly stop: AbortController;
  /** One more second, when it waits. */
  second(): Promise<void>;
}

function open(owner: string, identity: string): Waiting {
  const clock = handClock();
  const stop = new AbortController();
  const deps = { sql: db.sql, owner, identity, leaseMs: LEASE, clock, log: silentLog, signal: stop.signal };
  const opened = openOwnership(deps);
  opened.catch(() => {});
  const second = async (): Promise<void> => {
    await until(() => clock.pending > 0, { what: "it to wait" });
    await clock.advance(1000);
  };
  return { opened, clock, stop, second };
}

const holder = async (owner: string): Promise<string> => {
  const [row] = await db.sql<{ identity: string }[]>`select identity from mta where owner = ${owner}`;
  return row?.identity ?? "";
};
async function ago(owner: string, ms: number): Promise<void> {
  await db.sql`update mta set seen_at = now() - ${ms} * interval '1 ms' where owner = ${owner}`;
}

test("a free name is held, seen four times a lease, and given back", async () => {
  const { opened, clock } = open("free/0", "a");
  const ownership = await opened;
  expect(clock.nextAt - clock.now()).toBe(LEASE / 4);
  await ago("free/0", LEASE * 2);
  await clock.advance(LEASE / 4);
  await until(() => clock.pending > 0, { what: "the next beat to be planned" });
  expect(await claimOwner(db.sql, "free/0", "b", LEASE)).not.toBe("");
  await ownership.close();
  expect(clock.pending).toBe(0);
  expect(await holder("free/0")).toBe("");
});

test("a holder that was killed: its name is taken when its lease is over", async () => {
  await claimOwner(db.sql, "dead/0", "a", LEASE);
  const { opened, second } = open("dead/0", "b");
  await second();
  await second();
  expect(await holder("dead/0")).toBe("a");
  // Time passes for the database.
  await db.sql`update mta set seen_at = seen_at - interval '61 s' where owner = 'dead/0' and identity = 'a'`;
  const taken = until(async () => (await holder("dead/0")) === "b");
  await second();
  await taken;
  await (await opened).close();
});

test("a holder that gives back is followed at once", async () => {
  await claimOwner(db.sql, "back/0", "a", LEASE);
  const { opened, second } = open("back/0", "b");
  await second();
  await db.sql`delete from mta where owner = 'back/0'`;
  await second();
  await (await opened).close();
});

test("a holder that is seen while we wait lives: a fault that names it", async () => {
  await claimOwner(db.sql, "alive/0", "a", LEASE);
  await ago("alive/0", 5000);
  const { opened, clock, second } = open("alive/0", "b");
  await second();
  await until(() => clock.pending > 0, { what: "it to have asked again" });
  await ago("alive/0", 0);
  await second();
  await expect(opened).rejects.toMatchObject({ code: "OWNER_TAKEN", message: expect.stringContaining("identity a") });
  expect(await holder("alive/0")).toBe("a");
});

test("the wait ends after a lease, and when the process is told to stop", async () => {
  await claimOwner(db.sql, "long/0", "a", LEASE * 10);
  const long = open("long/0", "b");
  await until(() => long.clock.pending > 0);
  await long.clock.advance(LEASE + 2000);
  await expect(long.opened).rejects.toMatchObject({ code: "OWNER_TAKEN" });
  const stopped = open("long/0", "b");
  await until(() => stopped.clock.pending > 0);
  stopped.stop.abort();
  await expect(stopped.opened).rejects.toMatchObject({ code: "OWNER_TAKEN" });
  expect(stopped.clock.pending).toBe(0);
});

test("the system's clock is put forward while a dead holder is waited for: no fault, its lease is waited for", async () => {
  await claimOwner(db.sql, "jump/0", "a", LEASE);
  const { opened, clock, second } = open("jump/0", "b");
  await until(() => clock.pending > 0, { what: "it to wait" });
  clock.jump(3_600_000);
  await second();
  await until(() => clock.pending > 0, { what: "it to have asked again" });
  await db.sql`update mta set seen_at = seen_at - interval '61 s' where owner = 'jump/0' and identity = 'a'`;
  const taken = until(async () => (await holder("jump/0")) === "b");
  await second();
  await taken;
  await (await opened).close();
});

test("who lost the name does not give back another's", async () => {
  const { opened } = open("lost/0", "a");
  const ownership = await opened;
  await ago("lost/0", LEASE * 2);
  expect(await claimOwner(db.sql, "lost/0", "b", LEASE)).toBe("");
  await ownership.close();
  expect(await holder("lost/0")).toBe("b");
});
