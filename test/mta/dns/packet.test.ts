import { describe, expect, test } from "vitest";
import { decodeReply, encodeQuestion, type Question, readName, type Reply } from "../../../src/mta/dns/packet.ts";

const question: Question = { id: 0x1234, name: "d.test", type: "MX" };
const ASKED = "0164 0474657374 00 000f 0001";
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ""), "hex");
/** id, flags, counts, then the rest. */
const message = (rest: string, head: { id?: string; flags?: string; counts?: string } = {}): Buffer =>
  hex(`${head.id ?? "1234"} ${head.flags ?? "8180"} ${head.counts ?? "0001 0001 0000 0000"} ${rest}`);
const MX = "c00c 000f 0001 0000003c 0008 000a 036d7831 c00c"; // 10 mx1.d.test

test("a question: RD, AD, one name, OPT with DO", () => {
  expect(encodeQuestion(question, true).toString("hex")).toBe(
    hex(`1234 0120 0001 0000 0000 0001 ${ASKED} 00 0029 04d0 00 00 8000 0000`).toString("hex"),
  );
  expect(encodeQuestion(question, false).toString("hex")).toBe(
    hex(`1234 0100 0001 0000 0000 0000 ${ASKED}`).toString("hex"),
  );
  for (const name of ["", "a..b", ".a", `${"a".repeat(64)}.test`])
    expect(() => encodeQuestion({ ...question, name }, true)).toThrow(RangeError);
});

test("an answer", () => {
  const reply = decodeReply(message(`${ASKED} ${MX}`, { flags: "81a0" }), question) as Reply;
  expect(reply).toMatchObject({ rcode: 0, truncated: false, validated: true, name: "d.test" });
  expect(reply.records).toHaveLength(1);
  expect(readName(reply.message, reply.offsets[0]! + 2)).toMatchObject({ name: "mx1.d.test" });
  expect(decodeReply(message(`${ASKED} ${MX}`), question)).toMatchObject({ validated: false });
});

describe("what is not an answer to our question is not even a failure", () => {
  test.each([
    ["nothing", Buffer.alloc(0)],
    ["half a header", Buffer.alloc(11)],
    ["another id", message(`${ASKED} ${MX}`, { id: "1235" })],
    ["a question", message(`${ASKED} ${MX}`, { flags: "0180" })],
    ["an answer to a notify", message(`${ASKED} ${MX}`, { flags: "a180" })],
    ["another name", message(`0165 0474657374 00 000f 0001 ${MX}`)],
    ["another type", message(`0164 0474657374 00 0001 0001 ${MX}`)],
    ["another class", message(`0164 0474657374 00 000f 0003 ${MX}`)],
    ["no question", message(MX, { counts: "0000 0001 0000 0000" })],
    ["two questions", message(`${ASKED} ${ASKED} ${MX}`, { counts: "0002 0001 0000 0000" })],
  ])("%s", (_name, bytes) => {
    expect(decodeReply(bytes, question)).toBe("foreign");
  });
});

describe("what cannot be read is nonsense", () => {
  test.each([
    ["a question that ends early", hex("1234 8180 0001 0000 0000 0000 0164 0474")],
    ["fewer records than it says", message(ASKED)],
    ["65,535 records", message(`${ASKED} ${MX}`, { counts: "0001 ffff 0000 0000" })],
    ["data beyond the end", message(`${ASKED} c00c 000f 0001 0000003c ffff 000a`)],
    ["a name that points at itself", message(`${ASKED} c018 000f 0001 0000003c 0002 000a`)],
    ["a name that points forward", message(`${ASKED} c030 000f 0001 0000003c 0002 000a`)],
    ["a label of 64", message(`${ASKED} 40 ${"61".repeat(64)} 00 000f 0001 0000003c 0002 000a`)],
    [
      "a name of 256 octets",
      message(`${ASKED} ${"3f".concat("61".repeat(63)).repeat(4)} 00 000f 0001 0000003c 0002 000a`),
    ],
    ["an alias in a circle", message(`${ASKED} c00c 0005 0001 0000003c 0002 c00c`)],
    ["an alias with a tail", message(`${ASKED} c00c 0005 0001 0000003c 0004 c00c 0000`)],
  ])("%s", (_name, bytes) => {
    expect(decodeReply(bytes, question)).toBe("nonsense");
  });

  test("pointers one behind the other in a circle", () => {
    // At 12 a pointer to 14, at 14 one to 12.
    const bytes = message("c00e c00c");
    expect(readName(bytes, 12)).toBeNull();
    expect(readName(bytes, 14)).toBeNull();
  });

  test("any octets: neither an exception nor a hang", () => {
    const sound = message(`${ASKED} ${MX}`);
    let seed = 7;
    const draw = (most: number): number => (seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff) % most;
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(sound.subarray(0, 12 + draw(sound.length - 11)));
      for (let flips = draw(6); flips >= 0; flips--) bytes[draw(bytes.length)] = draw(256);
      const reply = decodeReply(bytes, question);
      expect(typeof reply === "string" || reply.records.length <= 1).toBe(true);
    }
  });
});

test("records of others are nobody's; a cut answer has none", () => {
  const other = "0365766c 00 000f 0001 0000003c 0008 000a 036d7831 c00c";
  expect(decodeReply(message(`${ASKED} ${other}`), question)).toMatchObject({ records: [], name: "d.test" });
  expect(decodeReply(message(`${ASKED} ${MX}`, { flags: "8380" }), question)).toMatchObject({
    truncated: true,
    records: [],
  });
});

test("octets that are not of host names do not pass for other names", () => {
  // One label "mx1.d" is not two.
  expect(readName(hex("056d78312e64 00"), 0)).toEqual({ name: "mx1\\046d", end: 7 });
  expect(readName(hex("026100 00"), 0)).toEqual({ name: "a\\000", end: 4 });
  expect(readName(hex("024d58 00"), 0)).toEqual({ name: "mx", end: 4 });
  expect(readName(hex("00"), 0)).toEqual({ name: "", end: 1 });
});

test("a server that could not read the question does not repeat it", () => {
  expect(decodeReply(message("", { flags: "8181", counts: "0000 0000 0000 0000" }), question)).toMatchObject({
    rcode: 1,
  });
});
