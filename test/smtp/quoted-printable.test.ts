import { describe, expect, test } from "vitest";
import { base64LinesLength, encodeBase64Lines } from "../../src/smtp/base64-lines.ts";
import { encodeQuotedPrintable, quotedPrintableRoom } from "../../src/smtp/quoted-printable.ts";

function encode(text: string | Buffer): string {
  const source = Buffer.from(text as string);
  const out = Buffer.alloc(quotedPrintableRoom(source.length), 0xee);
  const end = encodeQuotedPrintable(source, source.length, out, 3);
  expect(end).toBeLessThanOrEqual(out.length);
  return out.toString("latin1", 3, end);
}

/** RFC 2045 read backwards, written apart from the encoder. */
function decode(text: string): Buffer {
  const octets = text
    .replace(/[ \t]+(?=\r\n|$)/g, "")
    .replaceAll("=\r\n", "")
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(octets, "latin1");
}

function expectSound(encoded: string): void {
  for (const line of encoded.split("\r\n")) {
    expect(line.length).toBeLessThanOrEqual(76);
    expect(line).toMatch(/^(?:[\x20-\x3c\x3e-\x7e\t]|=[0-9A-F]{2}|=$)*$/);
    expect(line).not.toMatch(/^\.|^From |[ \t]$/);
  }
}

describe("quoted-printable", () => {
  test.each([
    ["", ""],
    ["plain", "plain"],
    ["a=b", "a=3Db"],
    ["é", "=C3=A9"],
    ["a\nb\r\nc\rd", "a\r\nb\r\nc\r\nd"],
    ["a\n\r\n\r\r\n", "a\r\n\r\n\r\n\r\n"],
    ["a \nb\t\r\nc ", "a=20\r\nb=09\r\nc=20"],
    [" a  b", " a  b"],
    ["\t", "=09"],
    [" \n", "=20\r\n"],
    [".", "=2E"],
    [".a\n..b\na.", "=2Ea\r\n=2E.b\r\na."],
    ["From x\n>From x\nFrom\nFromx", "=46rom x\r\n>From x\r\nFrom\r\nFromx"],
    ["\0\x1b\x7f", "=00=1B=7F"],
    ["--=_alternative_1", "--=3D_alternative_1"],
    [`${"x".repeat(75)}`, "x".repeat(75)],
    [`${"x".repeat(76)}`, `${"x".repeat(75)}=\r\nx`],
    [`${"x".repeat(75)}\ny`, `${"x".repeat(75)}\r\ny`],
    [`${"x".repeat(74)}é`, `${"x".repeat(74)}=\r\n=C3=A9`],
    [`${"x".repeat(75)}.`, `${"x".repeat(75)}=\r\n=2E`],
    [`${"x".repeat(75)}From y`, `${"x".repeat(75)}=\r\n=46rom y`],
    [`${"x".repeat(74)} \ny`, `${"x".repeat(74)}=\r\n=20\r\ny`],
    [`${"x".repeat(72)} \ny`, `${"x".repeat(72)}=20\r\ny`],
    ["Fro", "Fro"],
    ["F", "F"],
  ])("%j", (text, expected) => {
    expect(encode(text)).toBe(expected);
  });

  test("what a reader decodes is the text with CRLF line ends, whatever the octets", () => {
    let state = 7;
    const draw = (n: number): number => (state = (state * 1_103_515_245 + 12_345) & 0x7fffffff) % n;
    const pieces = ["\r", "\n", "\r\n", " ", "\t", ".", "=", "From ", "é", "😀", "x".repeat(70), "word ", "\0", "--"];
    for (let round = 0; round < 500; round++) {
      let text = "";
      for (let i = draw(60); i > 0; i--) text += pieces[draw(pieces.length)];
      const encoded = encode(text);
      expectSound(encoded);
      expect(decode(encoded).toString()).toBe(text.replace(/\r\n|\r|\n/g, "\r\n"));
    }
    const octets = Buffer.from(Array.from({ length: 5000 }, () => draw(256)).filter((o) => o !== 10 && o !== 13));
    expectSound(encode(octets));
    expect(decode(encode(octets)).equals(octets)).toBe(true);
  });

  test.each([" ", "\0", ".", "\n", "é", "x "])("a quarter of a million of %j keeps its room and its lines", (piece) => {
    const text = piece.repeat(256 * 1024);
    const encoded = encode(text);
    expect(encoded.split("\r\n").every((line) => line.length <= 76)).toBe(true);
    expect(decode(encoded).toString()).toBe(text.replace(/\n/g, "\r\n"));
  });
});

describe("base64 in lines", () => {
  test.each([0, 1, 2, 3, 56, 57, 58, 114, 57 * 512, 57 * 512 + 1, 100_000])("%i octets", (length) => {
    const source = Buffer.alloc(length, "abcdefg");
    const out = Buffer.alloc(base64LinesLength(length) + 5);
    const end = encodeBase64Lines(source, length, out, 5);
    expect(end).toBe(out.length);
    const lines = out.toString("latin1", 5).split("\r\n");
    expect(lines.every((line, i) => (i < lines.length - 1 ? line.length === 76 : line.length <= 76))).toBe(true);
    expect(Buffer.from(lines.join(""), "base64").equals(source)).toBe(true);
  });
});
