import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLog } from "../../../src/base/log.ts";
import { HANG_MS, openWriter, PAUSE_MS, type Writer } from "../../../src/redirector/log/writer.ts";
import { type HandClock, handClock } from "../../support/clock.ts";

/** A disk that does nothing until it is told what to do. */
interface Held {
  readonly text: string;
  ok(): void;
  fail(): void;
}

let clock: HandClock;
let writer: Writer;
let writes: Held[];
let errors: string[];
let answers: Record<string, boolean>;
let groups: { records: number; octets: number; ms: number }[];
let failures: number;

beforeEach(() => {
  clock = handClock();
  writes = [];
  errors = [];
  answers = {};
  groups = [];
  failures = 0;
  writer = openWriter({
    clock,
    log: { ...silentLog, error: (_fields, text) => void errors.push(text) },
    wrote: (group) => void groups.push(group),
    failed: () => void failures++,
    write: (bytes) =>
      new Promise((resolve, reject) =>
        writes.push({ text: bytes.toString(), ok: resolve, fail: () => reject(new Error("ENOSPC: no space left")) }),
      ),
  });
});
afterEach(async () => {
  await writer.close();
  if (clock.pending !== 0) throw new Error("a timer was left");
});

const append = (...names: string[]): void => {
  for (const name of names) writer.append(`${name}\n`, (durable) => (answers[name] = durable));
};
/** The promises of a write that ended, then what they planned. */
const turn = (): Promise<void> => clock.advance(0).then(() => clock.advance(0));

describe("a disk that is full", () => {
  test("everybody is answered at once; for a moment it is not asked again; then the next record goes to it", async () => {
    append("a", "b");
    await turn();
    append("c");
    writes[0]!.fail();
    await turn();
    expect(answers).toEqual({ a: false, b: false, c: false });
    expect(writer).toMatchObject({ lost: 3, state: "refused" });
    expect(failures).toBe(1);
    append("d");
    expect(answers["d"]).toBe(false);
    await clock.advance(PAUSE_MS);
    append("e");
    await turn();
    expect(writes.map(({ text }) => text)).toEqual(["a\nb\n", "e\n"]);
    writes[1]!.ok();
    await turn();
    expect(answers["e"]).toBe(true);
    expect(writer).toMatchObject({ lost: 4, state: "ok" });
  });

  test("it is shouted at most once a minute", async () => {
    for (let i = 0; i < 10; i++) {
      append("a");
      await turn();
      writes.at(-1)!.fail();
      await clock.advance(PAUSE_MS);
    }
    expect(errors).toHaveLength(1);
    await clock.advance(60_000);
    append("b");
    await turn();
    writes.at(-1)!.fail();
    await turn();
    expect(errors).toHaveLength(2);
  });
});

describe("a disk that hangs", () => {
  test("nobody waits for it; what comes meanwhile is lost; what hung is lost only if it fails in the end", async () => {
    append("a");
    await turn();
    append("b");
    await clock.advance(HANG_MS - 1);
    expect(answers).toEqual({});
    await clock.advance(1);
    expect(answers).toEqual({ a: false, b: false });
    expect(writer).toMatchObject({ state: "hung", lost: 1, undecided: 1 });
    append("c");
    expect(answers["c"]).toBe(false);
    expect(writer).toMatchObject({ lost: 2, undecided: 1 });
    writes[0]!.ok();
    await turn();
    // Whoever adds up what is lost takes fewer for those of a new process.
    expect(writer).toMatchObject({ state: "ok", lost: 2, undecided: 0 });
    append("d");
    await turn();
    writes[1]!.ok();
    await turn();
    expect(answers["d"]).toBe(true);
    expect(errors).toHaveLength(1);
  });

  test("and fails in the end", async () => {
    append("a");
    await clock.advance(HANG_MS);
    writes[0]!.fail();
    await turn();
    expect(writer).toMatchObject({ state: "refused", lost: 1 });
    expect(answers).toEqual({ a: false });
  });

  test("closing does not wait for it for ever", async () => {
    append("a");
    await turn();
    const closed = writer.close();
    await clock.advance(HANG_MS);
    await closed;
    writes[0]!.ok();
    await turn();
  });
});

test("what comes during a write goes together with the next: one sync for all of it", async () => {
  append("a", "b", "c");
  expect(writes).toHaveLength(0);
  await turn();
  expect(writes).toHaveLength(1);
  for (let i = 0; i < 1000; i++) append(`n${i}`);
  await turn();
  expect(writes).toHaveLength(1);
  expect(answers).toEqual({});
  writes[0]!.ok();
  await turn();
  expect(Object.keys(answers)).toEqual(["a", "b", "c"]);
  expect(writes).toHaveLength(2);
  await clock.advance(3);
  writes[1]!.ok();
  await turn();
  expect(Object.values(answers).every(Boolean)).toBe(true);
  expect(groups).toEqual([
    { records: 3, octets: 6, ms: 0 },
    { records: 1000, octets: 4890, ms: 3 },
  ]);
});

test("close writes what waits; what comes after it is lost", async () => {
  append("a");
  const closed = writer.close();
  await turn();
  writes[0]!.ok();
  await turn();
  await closed;
  expect(answers).toEqual({ a: true });
  append("b");
  expect(answers["b"]).toBe(false);
  expect(writer.lost).toBe(1);
});
