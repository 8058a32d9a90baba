import { appendFileSync, mkdtempSync, readdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLog } from "../../src/base/log.ts";
import type { OutcomeRecord } from "../../src/db/record.ts";
import { type JournalOptions, openJournal } from "../../src/mta/journal.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "journal-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const options = (extra: Partial<JournalOptions> = {}): JournalOptions => ({
  folder,
  owner: "m/0",
  boot: "boot-1",
  sync: false,
  log: silentLog,
  ...extra,
});
const intent = (id: number) => ({ id, partId: 5, epoch: 2, deliveryId: 9, status: 0, attempts: 1 });
const settled = (id: number): OutcomeRecord => ({
  id,
  partId: 5,
  epoch: 2,
  deliveryId: 9,
  from: 0,
  to: 2,
  attempts: 2,
  tried: 1,
  dueAt: 0,
  reason: "",
  event: 2,
  at: 1,
  code: 250,
  publicId: 0,
  latencyMs: 1,
  enhanced: "",
  stage: "dot",
  reply: "250 line\nfeed",
  mx: "",
  remoteIp: "",
  tls: "",
  transcript: "",
});

/** What a process that starts after a crash reads: the lock of this very process is taken over, as that of a dead one. */
const after = (extra: Partial<JournalOptions> = {}) => openJournal(options(extra));

test("after a crash: what was intended and not settled is in doubt, the rest is known", async () => {
  const { journal } = openJournal(options());
  expect(await Promise.all([1, 2, 3].map((id) => journal.intend(intent(id))))).toEqual([true, true, true]);
  journal.settled(settled(2));
  journal.flush();
  const { rest } = after();
  expect(rest.complete).toBe(true);
  expect(rest.inDoubt.map((i) => i.id)).toEqual([1, 3]);
  expect(rest.inDoubt[0]).toEqual(intent(1));
  expect(rest.settled).toEqual([settled(2)]);
});

test("what was written of a line that was cut did not happen", async () => {
  const { journal } = openJournal(options());
  await journal.intend(intent(1));
  const segment = readdirSync(folder).find((name) => name.endsWith(".journal"))!;
  appendFileSync(join(folder, segment), "I 2 5 2 9 0");
  expect(after().rest.inDoubt.map((i) => i.id)).toEqual([1]);
});

test("a damaged line is passed over, the others count", async () => {
  const { journal } = openJournal(options());
  await journal.intend(intent(1));
  const segment = readdirSync(folder).find((name) => name.endsWith(".journal"))!;
  appendFileSync(join(folder, segment), "S {broken\nI x y z\n\0\0\n");
  await journal.intend(intent(2));
  const { rest } = after();
  expect(rest.inDoubt.map((i) => i.id)).toEqual([1, 2]);
  expect(rest.complete).toBe(false);
});

test("an attempt again puts a settled message in doubt again", async () => {
  const { journal } = openJournal(options());
  await journal.intend(intent(1));
  journal.settled(settled(1));
  journal.flush();
  await journal.intend(intent(1));
  expect(after().rest.inDoubt.map((i) => i.id)).toEqual([1]);
});

test("another boot: the journal may lack its last lines, unless it was synced", async () => {
  await openJournal(options()).journal.intend(intent(1));
  expect(after({ boot: "boot-2" }).rest.complete).toBe(false);
  rmSync(folder, { recursive: true });
  await openJournal(options({ sync: true })).journal.intend(intent(1));
  expect(after({ boot: "boot-2", sync: true }).rest.complete).toBe(true);
});

test("segments go when the ledger has all that is in them, the last one stays as a proof that nothing was lost", async () => {
  const { journal } = openJournal(options());
  const count = 120_000;
  for (let id = 1; id <= count; id++) {
    if (id % 100 === 0) await journal.intend(intent(id));
    else void journal.intend(intent(id));
    if (id % 1000 === 0) journal.recorded(Array.from({ length: 1000 }, (_, i) => id - i));
    if (id % 20_000 === 0)
      expect(readdirSync(folder).filter((n) => n.endsWith(".journal")).length).toBeLessThanOrEqual(2);
  }
  expect(journal.open).toBe(0);
  journal.close();
  expect(readdirSync(folder)).toHaveLength(1);
});

test("a full disk: nothing may be sent, and it goes on when there is room", async () => {
  let full = false;
  const { journal } = openJournal(
    options({
      write(fd, text) {
        if (full) {
          // What a full disk does: half of the line, then ENOSPC.
          writeSync(fd, text.slice(0, text.length / 2));
          throw Object.assign(new Error("no space left"), { code: "ENOSPC" });
        }
        writeSync(fd, text);
      },
    }),
  );
  expect(await journal.intend(intent(1))).toBe(true);
  full = true;
  expect(await journal.intend(intent(2))).toBe(false);
  expect(journal.writable).toBe(false);
  expect(await journal.intend(intent(2))).toBe(false);
  expect(journal.probe()).toBe(false);
  full = false;
  expect(journal.probe()).toBe(true);
  expect(await journal.intend(intent(3))).toBe(true);
  expect(after().rest.inDoubt.map((i) => i.id)).toEqual([1, 3]);
});

test("forget removes what the last process left, not what this one writes", async () => {
  await openJournal(options()).journal.intend(intent(1));
  const second = openJournal(options());
  await second.journal.intend(intent(2));
  second.forget();
  expect(after().rest.inDoubt.map((i) => i.id)).toEqual([2]);
});

test("an intent that is taken back is no doubt; a refusal before the dot is known too", async () => {
  const { journal } = openJournal(options());
  for (const id of [1, 2, 3]) await journal.intend(intent(id));
  journal.retract(1);
  journal.settled({ ...settled(2), to: 3, stage: "rcpt" });
  journal.flush();
  const { rest } = after();
  expect(rest.inDoubt.map((i) => i.id)).toEqual([3]);
  expect(rest.settled.map((r) => r.id)).toEqual([2]);
});

test.each([
  ["is gone", null],
  ["has length 0", ""],
  ["is full of NULs", "\0".repeat(100)],
  ["has a damaged head", "{broken\n"],
])("a journal that %s is not complete", (_, text) => {
  if (text !== null) writeFileSync(join(folder, "0000000001.journal"), text);
  const { rest } = openJournal(options());
  expect(rest).toEqual({ settled: [], inDoubt: [], complete: false });
});
