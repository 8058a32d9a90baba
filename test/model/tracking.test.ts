/** Records of the tracking log: what is written is read, and damage is known as such. */
import { describe, expect, test } from "vitest";
import { decodeRecord, encodeRecord, MOST_RECORD, type TrackingRecord } from "../../src/model/tracking.ts";

const record = (over: Partial<TrackingRecord> = {}): TrackingRecord => ({
  at: 1_790_000_000_000,
  kind: "click",
  message: 4_294_967_297,
  delivery: 5,
  link: 3,
  method: "GET",
  hint: "",
  ip: "192.0.2.0",
  userAgent: "Mozilla/5.0 (X11)",
  visitor: "",
  web: null,
  ...over,
});

describe("a record", () => {
  test.each<Partial<TrackingRecord>>([
    {},
    { kind: "open", message: 0, link: 0 },
    { userAgent: 'evil\n"\r\u2028 00000000 [1]', hint: "trap" },
    { kind: "transaction", web: { tag: "order", amount: 12.5, articles: 3, more: [["sku", "a\nb"]] } },
  ])("comes back: %o", (over) => {
    const line = encodeRecord(record(over));
    expect(line.endsWith("\n")).toBe(true);
    expect(line.slice(0, -1)).not.toContain("\n");
    expect(decodeRecord(line.slice(0, -1))).toEqual(record(over));
  });

  test("with any single bit changed is damaged", () => {
    const line = Buffer.from(encodeRecord(record())).subarray(0, -1);
    for (let i = 0; i < line.length; i++) {
      for (const bit of [1, 8, 64]) {
        const bad = Buffer.from(line);
        bad[i] = bad[i]! ^ bit;
        expect(decodeRecord(bad.toString()), `octet ${i}, bit ${bit}`).toBeTypeOf("string");
      }
    }
  });

  test.each(["", "x", "00000000 ", "00000000 []", "a".repeat(MOST_RECORD + 1), encodeRecord(record()).slice(0, 40)])(
    "is none: %#",
    (line) => expect(decodeRecord(line)).toBeTypeOf("string"),
  );

  test.each([
    "{}",
    "[]",
    '[1,99,0,0,0,"","","","","",0]',
    '[-1,0,0,0,0,"","","","","",0]',
    '[1,0,0,0,0,1,"","","","",0]',
  ])("with a good checksum and nonsense in it is none: %s", async (body) => {
    const { crc32 } = await import("node:zlib");
    expect(decodeRecord(`${crc32(body).toString(16).padStart(8, "0")} ${body}`)).toBe("not a record");
  });
});
