/** The tracking log and its room: a full disk, rotation, the bound, who pulls and waits. */
import { rmSync, statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Disk, realDisk } from "../../src/redirector/log/disk.ts";
import { handClock } from "../support/clock.ts";
import { type LogFolder, LINE, makeLogFolder } from "../support/tracking-log.ts";
import { until } from "../support/until.ts";

let folder: LogFolder;
beforeEach(() => {
  folder = makeLogFolder();
});
afterEach(() => folder.close());

describe("a disk that is full", () => {
  function filling(): { disk: Disk; full: boolean } {
    const state = {
      full: false,
      disk: {
        ...realDisk,
        async append(fd: number, bytes: Buffer) {
          if (!state.full) return realDisk.append(fd, bytes);
          await realDisk.append(fd, bytes.subarray(0, bytes.length >> 1));
          throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
        },
      },
    };
    return state;
  }

  test("half of what was written is taken back, the loss is counted and shouted, and it goes on in a new file", async () => {
    const state = filling();
    await folder.open({ disk: state.disk });
    await folder.hits(1, 2);
    state.full = true;
    expect(await folder.hit(3)).toBe(false);
    expect(await folder.hit(4)).toBe(false);
    expect(folder.log.facts).toMatchObject({ lost: 2, state: "refused" });
    expect(folder.shouts).toHaveLength(1);
    expect(statSync(folder.file(0)).size).toBe(2 * LINE);
    expect(await folder.pull()).toMatchObject({ hits: [1, 2], damaged: [], gaps: 0 });
    state.full = false;
    await until(() => folder.hit(5), { what: "the disk to be asked again" });
    expect(await folder.pull()).toMatchObject({ damaged: [], gaps: 0 });
    expect((await folder.pull()).hits.slice(0, 3)).toEqual([1, 2, 5]);
  });

  test("full from the first record on: the one empty file is used when there is room", async () => {
    const state = filling();
    state.full = true;
    await folder.open({ disk: state.disk });
    expect(await folder.hit(1)).toBe(false);
    state.full = false;
    await until(() => folder.hit(2), { what: "the disk to be asked again" });
    expect((await folder.pull()).hits[0]).toBe(2);
    expect(folder.files()).toEqual(["0000000000000000.log"]);
  });

  test("what was pulled makes room, what was not stays", async () => {
    const state = filling();
    await folder.open({ disk: state.disk, segmentBytes: LINE });
    await folder.hits(1, 4);
    folder.log.pulled(2 * LINE);
    state.full = true;
    await until(async () => (await folder.hit(5), folder.files().length === 3), {
      what: "the first two to be removed",
    });
    await until(async () => (await folder.hit(5), folder.log.facts.lost > 6), { what: "more that cannot be written" });
    expect(await folder.pull()).toMatchObject({ hits: [3, 4], gaps: 2 * LINE });
    expect(folder.log.facts.dropped).toBe(0);
  });
});

describe("rotation and bounds", () => {
  test("by size, and one read never spans two files", async () => {
    await folder.open({ segmentBytes: 3 * LINE });
    await folder.hits(1, 7);
    expect(folder.files()).toHaveLength(3);
    expect((await folder.log.read(0, 1000))!.next).toBe(3 * LINE);
    expect((await folder.log.read(0, 2))!.next).toBe(2 * LINE);
    expect(await folder.pull(0, 2)).toMatchObject({ hits: [1, 2, 3, 4, 5, 6, 7] });
  });

  test("by time, also when nobody comes, and what was pulled is gone after its time; an empty file keeps the place", async () => {
    const clock = handClock();
    await folder.open({ clock, segmentMs: 60_000, keepMs: 600_000 });
    const one = folder.hit(1);
    await clock.advance(0);
    expect(await one).toBe(true);
    await clock.advance(60_000);
    await until(() => folder.files().length === 2, { what: "a second file" });
    folder.log.pulled(LINE);
    await clock.advance(590_000);
    await clock.advance(20_000);
    await until(() => folder.files().length === 1, { what: "the first to be removed" });
    expect(folder.files()).toEqual([`${LINE.toString(16).padStart(16, "0")}.log`]);
    await folder.open({ clock });
    expect(folder.files()).toHaveLength(1);
    expect(await folder.pull()).toMatchObject({ hits: [], gaps: LINE, at: LINE });
    const two = folder.hit(2);
    await clock.advance(0);
    expect(await two).toBe(true);
    expect(await folder.pull(LINE)).toMatchObject({ hits: [2] });
  });

  test("nobody pulls: an alarm at 80 %, then the oldest go, told and counted", async () => {
    const clock = handClock();
    await folder.open({ clock, segmentBytes: LINE, logBytes: 20 * LINE });
    const add = async (from: number, to: number): Promise<void> => {
      for (let i = from; i <= to; i++) {
        const one = folder.hit(i);
        await until(async () => (await clock.advance(0), Promise.race([one, Promise.resolve(false)])));
      }
      await clock.advance(10_000);
    };
    await add(1, 15);
    expect(folder.shouts).toEqual([]);
    await add(16, 16);
    expect(folder.log.facts.alarm).toBe(true);
    expect(folder.shouts).toEqual([expect.stringContaining("nearly full")]);
    await add(17, 30);
    const gone = async (): Promise<boolean> => {
      const { gaps } = await folder.pull();
      return gaps > 0 && gaps === folder.log.facts.dropped;
    };
    await until(gone, { what: "the oldest to go" });
    const { hits } = await folder.pull();
    expect(folder.log.facts.bytes).toBeLessThanOrEqual(20 * LINE);
    expect(folder.shouts.some((text) => text.includes("nobody has pulled are removed"))).toBe(true);
    expect(hits).toEqual(Array.from({ length: hits.length }, (_, i) => 31 - hits.length + i));
    folder.log.pulled(30 * LINE);
    expect(folder.log.facts).toMatchObject({ unpulled: 0, alarm: false });
  });

  test("nobody pulls for ten minutes: shouted, and again ten minutes later; not while somebody asks, or there is nothing", async () => {
    const clock = handClock();
    await folder.open({ clock });
    await clock.advance(3_600_000);
    const hit = folder.hit(1);
    await clock.advance(0);
    await until(async () => (await clock.advance(0), folder.log.facts.unpulled > 0));
    await hit;
    await folder.log.read(0, 1);
    await clock.advance(590_000);
    expect(folder.shouts).toEqual([]);
    await clock.advance(20_000);
    expect(folder.shouts).toEqual([expect.stringContaining("goes on getting mail")]);
    await clock.advance(1_200_000);
    expect(folder.shouts).toHaveLength(3);
    folder.log.pulled(LINE);
    await clock.advance(3_600_000);
    expect(folder.shouts).toHaveLength(3);
  });

  test("a segment is never more than an eighth of the bound", async () => {
    await folder.open({ segmentBytes: 1000 * LINE, logBytes: 16 * LINE });
    await folder.hits(1, 5);
    expect(folder.files()).toHaveLength(3);
  });
});

describe("pulling", () => {
  test("beyond the end there is nothing to say", async () => {
    await folder.open();
    await folder.hits(1, 1);
    expect(await folder.log.read(LINE + 1, 10)).toBeNull();
    await folder.log.read(0, 10);
    expect(await folder.log.read(LINE, 10)).toEqual({ bytes: Buffer.alloc(0), next: LINE, gap: 0 });
  });

  test("the log keeps its name and what was pulled over restarts, a wiped folder is another log", async () => {
    const { id } = await folder.open();
    await folder.hits(1, 2);
    folder.log.pulled(LINE);
    folder.log.pulled(5 * LINE); // beyond the end: a mistake
    expect(folder.log.facts.unpulled).toBe(LINE);
    expect((await folder.open()).id).toBe(id);
    expect(folder.log.facts.unpulled).toBe(LINE);
    await folder.shut();
    rmSync(folder.path, { recursive: true });
    expect((await folder.open()).id).not.toBe(id);
  });

  test("who waits is called a moment after the first record, with those that came meanwhile", async () => {
    const clock = handClock();
    await folder.open({ clock });
    const { signal } = new AbortController();
    let called = 0;
    const waiting = folder.log.wait(0, 20_000, signal).then(() => called++);
    const one = folder.hit(1);
    await clock.advance(0);
    await one;
    const two = folder.hit(2);
    await clock.advance(0);
    await two;
    expect(called).toBe(0);
    await clock.advance(100);
    await waiting;
    expect(await folder.pull()).toMatchObject({ hits: [1, 2] });
    // Something is there already; nothing comes; who waits goes; too many wait.
    await folder.log.wait(0, 20_000, signal);
    const quiet = folder.log.wait(2 * LINE, 500, signal);
    await clock.advance(500);
    await quiet;
    const gone = new AbortController();
    const left = folder.log.wait(2 * LINE, 20_000, gone.signal);
    gone.abort();
    await left;
    const many = Array.from({ length: 32 }, () => folder.log.wait(2 * LINE, 20_000, signal));
    await folder.log.wait(2 * LINE, 20_000, signal);
    const closed = folder.log.close();
    await clock.advance(0);
    await Promise.all([...many, closed]);
  });
});
