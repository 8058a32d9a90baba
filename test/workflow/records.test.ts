/** Octets of a log as records: what is damaged is set aside with its place, and the rest goes on. */
import { describe, expect, test } from "vitest";
import { encodeRecord, MOST_RECORD } from "../../src/model/tracking.ts";
import { readRecords } from "../../src/workflow/records.ts";
import { hit, linesOf, NOW } from "../support/tracking.ts";

const FROM = 1_000_000;
const read = (body: Buffer | string) => readRecords({ body: Buffer.from(body), from: FROM }, FROM, 1e9, NOW);

describe("records", () => {
  test("have their places", () => {
    const lines = [hit({ link: 1 }), hit({ link: 2, userAgent: "ünï 😀" }), hit({ link: 3 })].map(encodeRecord);
    const { records, places, damage, end } = read(lines.join(""));
    expect(damage).toEqual([]);
    expect(records.map(({ link }) => link)).toEqual([1, 2, 3]);
    const sizes = lines.map((line) => Buffer.byteLength(line));
    expect(places.map((place) => place - FROM)).toEqual([0, sizes[0]!, sizes[0]! + sizes[1]!]);
    expect(end).toBe(FROM + sizes.reduce((a, b) => a + b));
  });

  test("around a damaged one are read; it is set aside as it was", () => {
    const good = encodeRecord(hit());
    const bad = `${good.slice(0, 40)}X${good.slice(41)}`;
    const { records, damage } = read(good + bad + good);
    expect(records).toHaveLength(2);
    expect(damage).toEqual([
      {
        position: FROM + good.length,
        octets: bad.length,
        records: 1,
        reason: "wrong checksum",
        content: Buffer.from(bad),
      },
    ]);
  });

  test("that are rubbish side by side are one place, with its beginning", () => {
    const good = linesOf([hit()]);
    const rubbish = Buffer.from("\n\n\u0000\nnot a record\n".repeat(5000));
    const { records, damage } = read(Buffer.concat([good, rubbish, good]));
    expect(records).toHaveLength(2);
    expect(damage).toHaveLength(1);
    expect(damage[0]).toMatchObject({ position: FROM + good.length, octets: rubbish.length, records: 20_000 });
    expect(damage[0]?.content).toHaveLength(MOST_RECORD);
  });

  test("without an end are looked at like any other: a torn one is damaged, a whole one is not", () => {
    const line = encodeRecord(hit()).trimEnd();
    expect(read(line).records).toHaveLength(1);
    expect(read(line.slice(0, -1)).damage).toMatchObject([{ octets: line.length - 1 }]);
    expect(read("x".repeat(10_000)).damage).toMatchObject([{ octets: 10_000, reason: "longer than any record" }]);
  });

  test("in octets that are no UTF-8 are damaged", () => {
    const octets = linesOf([hit({ userAgent: "aaaa" })]);
    octets.fill(0xff, octets.indexOf("aaaa"), octets.indexOf("aaaa") + 4);
    expect(read(octets).damage).toHaveLength(1);
  });

  test("of a clock that is wrong by years count at the time they are read", () => {
    const times = [0, Date.UTC(2019, 11, 31), Date.UTC(2020, 0, 1), NOW + 86_400_000, NOW + 86_400_001, 2 ** 53 - 1];
    const { records, clockWrong } = read(linesOf(times.map((at) => hit({ at }))));
    expect(records.map(({ at }) => at)).toEqual([NOW, NOW, times[2], times[3], NOW, NOW]);
    expect(clockWrong).toBe(true);
    expect(read(linesOf([hit()])).clockWrong).toBe(false);
  });

  test("are fit for the database, whatever a stranger sent", () => {
    const web = { tag: "a\0b", amount: Number.MAX_VALUE, articles: 1.5, more: [["\ud800", "\0"]] as const };
    const octets = linesOf([
      hit({ userAgent: `\0${"x".repeat(600)}`, ip: "1".repeat(99), visitor: "\udc00", hint: "\0", web }),
    ]);
    const record = read(octets).records[0]!;
    expect(record.userAgent).toBe(`\ufffd${"x".repeat(399)}`);
    expect(record.ip).toHaveLength(64);
    expect([record.visitor, record.hint]).toEqual(["\ufffd", "\ufffd"]);
    expect(record.web).toEqual({ tag: "a\ufffdb", amount: 0, articles: 2, more: [["\ufffd", "\ufffd"]] });
    expect(read(linesOf([hit({ link: 2 ** 31 })])).damage).toMatchObject([{ reason: "a link number nobody gives" }]);
  });

  test("are read so many at a time, from any of them on", () => {
    const body = linesOf([1, 2, 3, 4, 5].map((link) => hit({ link })));
    const links: number[][] = [];
    for (let at = FROM; at < FROM + body.length;) {
      const { records, end } = readRecords({ body, from: FROM }, at, 2, NOW);
      links.push(records.map(({ link }) => link));
      at = end;
    }
    expect(links).toEqual([[1, 2], [3, 4], [5]]);
  });

  test("of nothing are none", () =>
    expect(read("")).toEqual({ records: [], places: [], damage: [], end: FROM, clockWrong: false }));
});
