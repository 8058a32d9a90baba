/**
 * The disk of the journal is full: no intent can be written, so no message may leave. Nothing is sent meanwhile, nothing counts as an
 * attempt, nobody is called again and again; and it goes on when there is room. Once with a write that fails half-way, once with a real
 * disk of 128 KB that the journal itself fills.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, onTestFinished, test } from "vitest";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";
import { openTestMta } from "../support/mta.ts";
import { EXACT, judge, stateOf } from "../support/oracle.ts";
import { openTaking, people, stillness } from "../support/taking.ts";
import { until } from "../support/until.ts";

let db: TestDatabase;
beforeEach(async () => {
  db = await openTestDatabase();
});
afterEach(() => db.close());

const finished = (id: number): Promise<boolean> =>
  until(async () => (await stateOf(db.sql, id)) === "finished", { what: `delivery ${id} to end`, timeoutMs: 20_000 });

test("full in the middle of a line: nothing leaves and nothing counts until there is room", async () => {
  const host = await openTaking({ manners: { latencyMs: 4 } });
  onTestFinished(() => host.close());
  let full = false;
  function write(fd: number, text: string): void {
    if (!full) return void writeSync(fd, text);
    writeSync(fd, text.slice(0, text.length / 2));
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  }
  const { id } = await putDelivery(db.sql, { addresses: people(1500, 3, "full"), partSize: 50, retry: [1] });
  const settings = { window: 600, partSize: 50 };
  const mta = await openTestMta({
    sql: db.sql,
    port: host.port,
    journalWrite: write,
    settings,
    rules: [{ mx: "*", connections: 15 }],
  });
  onTestFinished(() => mta.close());
  await until(() => host.order.length > 300, { what: "some to arrive" });
  full = true;
  const { connections } = host.counts;
  const sent = await stillness(() => host.order.length, "the sending");
  expect(sent).toBeLessThan(1500);
  const during = await judge(db.sql, id, host.taken);
  expect(during.attempts).toBe(1);
  const [tried] = await db.sql<{ n: number }[]>`
    select count(*)::int as n from message where delivery_id = ${id} and status <> 2 and attempts > 0`;
  expect(tried!.n).toBe(0);
  expect(host.counts.connections - connections).toBeLessThan(20);
  expect(host.order.length).toBe(sent);
  full = false;
  await finished(id);
  const verdict = await judge(db.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict).toMatchObject({ rows: [0, 0, 1500, 0, 0, 0, 0, 0], doubles: [], attempts: 1 });
  expect(verdict.doubted.size).toBe(0);
});

/** Only root may mount; where nobody may, the line above the skipped test says so. */
const disk = mkdtempSync(join(tmpdir(), "postilion-small-disk-"));
const mounted =
  process.getuid?.() === 0 &&
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=128k", "postilion-test", disk], { stdio: "ignore" }).status === 0;
if (!mounted) console.log("skipped: the journal on a small disk; mounting a tmpfs needs root and permission to mount");
afterAll(() => {
  if (mounted) spawnSync("umount", [disk], { stdio: "ignore" });
  rmSync(disk, { recursive: true, force: true });
});

test.runIf(mounted)("a journal that fills its own disk makes room again when the ledger has what it says", async () => {
  const host = await openTaking();
  onTestFinished(() => host.close());
  const folder = join(disk, "var");
  mkdirSync(folder);
  const { id } = await putDelivery(db.sql, { addresses: people(3000, 3, "small"), partSize: 50, retry: [1] });
  const mta = await openTestMta({ sql: db.sql, port: host.port, folder, settings: { window: 600, partSize: 50 } });
  onTestFinished(() => mta.close());
  await finished(id);
  const verdict = await judge(db.sql, id, host.taken);
  expect(verdict.judgement).toEqual(EXACT);
  expect(verdict).toMatchObject({ rows: [0, 0, 3000, 0, 0, 0, 0, 0], doubles: [], attempts: 1 });
  await mta.close();
  expect(readdirSync(join(folder, "journal"))).toHaveLength(1);
});
