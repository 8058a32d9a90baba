/** Blocks and their marks: a mark is set with the write that took the bytes before it, not earlier and not later. */
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { openOutbox, type Mark } from "../../src/mta/session/outbox.ts";

function sink(): { writes: number[]; socket: Writable } {
  const writes: number[] = [];
  const socket = new Writable({
    write(chunk: Buffer, _encoding, done) {
      writes.push(chunk.length);
      done();
    },
    writev(chunks, done) {
      writes.push(chunks.reduce((sum, { chunk }) => sum + (chunk as Buffer).length, 0));
      done();
    },
  });
  return { writes, socket };
}
const mark = (): Mark => ({ handed: false });
const BLOCK = 65_536;

test("small things leave in one write, all marks with it", () => {
  const { writes, socket } = sink();
  const outbox = openOutbox();
  const marks = [mark(), mark(), mark()];
  outbox.add("MAIL");
  outbox.add(marks[0]!);
  outbox.add(Buffer.alloc(1000));
  outbox.add(".\r\n");
  outbox.add(marks[1]!);
  outbox.add("QUIT");
  outbox.add(marks[2]!);
  outbox.writeBlock(socket, () => {});
  expect(writes).toEqual([1011]);
  expect(marks.map(({ handed }) => handed)).toEqual([true, true, true]);
  expect(outbox.empty).toBe(true);
});

// Around the edge of a block, where the dot is the last that fits.
for (let size = BLOCK - 5; size <= BLOCK + 1; size++) {
  test(`a body of ${size} octets and its dot: the mark goes with the dot`, () => {
    const { writes, socket } = sink();
    const outbox = openOutbox();
    const [dot, next] = [mark(), mark()];
    outbox.add(Buffer.alloc(size));
    outbox.add(".\r\n");
    outbox.add(dot);
    outbox.add("MAIL");
    outbox.add(next);
    const sent = (): number => writes.reduce((sum, length) => sum + length, 0);
    while (!outbox.empty) {
      outbox.writeBlock(socket, () => {});
      expect([dot.handed, next.handed]).toEqual([sent() >= size + 3, sent() >= size + 7]);
    }
    expect(sent()).toBe(size + 7);
  });
}

test("a big body leaves block by block", () => {
  const { writes, socket } = sink();
  const outbox = openOutbox();
  const marks = [mark(), mark()];
  outbox.add("BDAT");
  outbox.add(marks[0]!);
  outbox.add(Buffer.alloc(150_000));
  outbox.add(marks[1]!);
  outbox.writeBlock(socket, () => {});
  expect(marks.map(({ handed }) => handed)).toEqual([true, false]);
  outbox.writeBlock(socket, () => {});
  expect(marks[1]!.handed).toBe(false);
  outbox.writeBlock(socket, () => {});
  expect(marks[1]!.handed).toBe(true);
  expect(writes).toEqual([BLOCK + 4, BLOCK, 150_000 - 2 * BLOCK]);
});

test("cleared: nothing leaves, no mark is set", () => {
  const { writes, socket } = sink();
  const outbox = openOutbox();
  const one = mark();
  outbox.add("x");
  outbox.add(one);
  outbox.clear();
  outbox.writeBlock(socket, () => {});
  expect([outbox.empty, one.handed, writes]).toEqual([true, false, []]);
});
