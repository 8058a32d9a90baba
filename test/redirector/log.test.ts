/** The tracking log and what breaks it: processes that are killed, files that are damaged. */
import { appendFileSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Disk, realDisk } from "../../src/redirector/log/disk.ts";
import { type LogFolder, LINE, lineOf, makeLogFolder } from "../support/tracking-log.ts";

let folder: LogFolder;
beforeEach(() => {
  folder = makeLogFolder();
});
afterEach(() => folder.close());

describe("what a killed process leaves", () => {
  test("half a record is cut, what is whole is given out, and the next process begins a file of its own", async () => {
    await folder.open();
    await folder.hits(1, 3);
    const first = folder.file(0);
    folder.kill();
    appendFileSync(first, lineOf(4) + lineOf(5).slice(0, 20));
    await folder.open();
    expect(statSync(first).size).toBe(4 * LINE);
    await folder.hits(6, 6);
    expect(folder.files()).toEqual(["0000000000000000.log", `${(4 * LINE).toString(16).padStart(16, "0")}.log`]);
    expect(await folder.pull()).toEqual({ hits: [1, 2, 3, 4, 6], damaged: [], gaps: 0, at: 5 * LINE });
  });

  test("a file of one half record, and one with a huge tail of none", async () => {
    await folder.open();
    await folder.hits(1, 1);
    const first = folder.file(0);
    folder.kill();
    appendFileSync(first, "x".repeat(200_000));
    await folder.open();
    expect(statSync(first).size).toBe(LINE);
    const second = folder.file(1);
    folder.kill();
    appendFileSync(second, "half a record");
    await folder.open();
    expect(statSync(second).size).toBe(0);
    await folder.hits(2, 2);
    expect(await folder.pull()).toMatchObject({ hits: [1, 2], damaged: [], gaps: 0 });
  });

  test("its lock; a process that lives keeps its own", async () => {
    await folder.open();
    folder.kill();
    writeFileSync(join(folder.path, "lock"), "1 0");
    await folder.open();
    await folder.shut();
    const started = readFileSync("/proc/1/stat", "utf8").split(") ")[1]!.split(" ")[19];
    writeFileSync(join(folder.path, "lock"), `1 ${started}`);
    await expect(folder.open()).rejects.toMatchObject({ code: "TRACKING_LOG_LOCKED" });
    rmSync(join(folder.path, "lock"));
  });

  test("a last file that lost its end after it was pulled: no position is used twice", async () => {
    await folder.open();
    await folder.hits(1, 3);
    const { at } = await folder.pull();
    folder.log.pulled(at);
    await folder.shut();
    truncateSync(folder.file(0), LINE);
    await folder.open();
    await folder.hits(4, 4);
    expect(await folder.pull(at)).toMatchObject({ hits: [4], gaps: 0 });
    expect(await folder.pull(0)).toMatchObject({ hits: [1, 4], gaps: 2 * LINE });
  });
});

describe("damage", () => {
  /** Five segments of two records each. */
  async function five(): Promise<void> {
    await folder.open({ segmentBytes: 2 * LINE });
    await folder.hits(1, 10);
    expect(folder.files()).toHaveLength(5);
  }

  test("a flipped bit costs one record", async () => {
    await five();
    const bytes = readFileSync(folder.file(2));
    bytes[30]! ^= 4;
    writeFileSync(folder.file(2), bytes);
    expect(await folder.pull()).toEqual({
      hits: [1, 2, 3, 4, 6, 7, 8, 9, 10],
      damaged: ["wrong checksum"],
      gaps: 0,
      at: 10 * LINE,
    });
  });
  test("a line end that became something else costs two", async () => {
    await five();
    const bytes = readFileSync(folder.file(0));
    bytes[LINE - 1] = 0x20;
    writeFileSync(folder.file(0), bytes);
    expect(await folder.pull()).toMatchObject({ hits: [3, 4, 5, 6, 7, 8, 9, 10], damaged: [expect.any(String)] });
  });
  test("a segment that was cut, while the process runs and when the next one begins", async () => {
    await five();
    truncateSync(folder.file(1), LINE + 10);
    const expected = {
      hits: [1, 2, 3, 5, 6, 7, 8, 9, 10],
      damaged: [expect.any(String)],
      gaps: LINE - 10,
      at: 10 * LINE,
    };
    // The process believes in its file; what the file does not have is not given out.
    expect(await folder.pull()).toEqual(expected);
    await folder.open();
    expect(await folder.pull()).toEqual(expected);
    expect(await folder.pull(3 * LINE + 50)).toMatchObject({ hits: [5, 6, 7, 8, 9, 10], gaps: LINE - 50 });
  });
  test("a segment that is gone", async () => {
    await five();
    rmSync(folder.file(1));
    const gone = { hits: [1, 2, 5, 6, 7, 8, 9, 10], damaged: [], gaps: 2 * LINE, at: 10 * LINE };
    expect(await folder.pull()).toEqual(gone);
    await folder.open();
    expect(await folder.pull()).toEqual(gone);
    rmSync(folder.file(0));
    await folder.open();
    expect(await folder.pull()).toEqual({ ...gone, hits: [5, 6, 7, 8, 9, 10], gaps: 4 * LINE });
  });
  test("a segment that is longer than the next one's name says is read as far as that", async () => {
    await five();
    appendFileSync(folder.file(1), lineOf(99));
    await folder.open();
    expect(await folder.pull()).toMatchObject({ hits: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], gaps: 0 });
  });
  test("a place the disk cannot read any more costs what stands there", async () => {
    const bad = { from: 3 * 4096, to: 4 * 4096 };
    const read: Disk["read"] = (path, from, most) => {
      if (from < bad.to && from + most > bad.from) throw Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
      return realDisk.read(path, from, most);
    };
    const most = Math.ceil((10 * 4096) / LINE);
    await folder.open({ disk: { ...realDisk, read: async (...asked) => read(...asked) } });
    await folder.hits(1, most);
    const pulled = await folder.pull();
    expect(pulled).toMatchObject({ gaps: bad.to - bad.from, at: most * LINE });
    const whole = Array.from({ length: most }, (_, i) => i + 1).filter(
      (n) => n * LINE <= bad.from || (n - 1) * LINE >= bad.to,
    );
    expect(pulled.hits).toEqual(whole);
    expect(pulled.damaged.length).toBeLessThanOrEqual(2);
  });
  test("megabytes without a line end are given out by pieces", async () => {
    await folder.open();
    await folder.hits(1, 1);
    folder.kill();
    appendFileSync(folder.file(0), `${"x".repeat(5_000_000)}\n`);
    await folder.open();
    await folder.hits(2, 2);
    expect(await folder.pull()).toMatchObject({
      hits: [1, 2],
      damaged: Array(2).fill("longer than any record"),
      gaps: 0,
    });
  });
});

test("a folder that cannot be used is a fault", async () => {
  const file = join(folder.path, "file");
  writeFileSync(file, "");
  await expect(folder.open({ folder: file })).rejects.toMatchObject({ code: "TRACKING_LOG_UNWRITABLE" });
});
