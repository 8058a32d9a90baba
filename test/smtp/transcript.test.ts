import { expect, test } from "vitest";
import { openTranscript } from "../../src/smtp/transcript.ts";

test("lines of both sides in order", () => {
  const transcript = openTranscript();
  transcript.received({ code: 220, lines: ["mx", "go\0\x07"] }, 0);
  transcript.sent("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", 7);
  transcript.body(1234, 7);
  transcript.received({ code: 250, lines: [""] }, 7);
  expect(transcript.lines(7)).toEqual([
    "< 220-mx",
    "< 220 go",
    "> MAIL FROM:<a@b>",
    "> RCPT TO:<c@d>",
    "> [1234 octets]",
    "< 250",
  ]);
  expect(transcript.lines(8)).toEqual(["< 220-mx", "< 220 go"]);
});

test("only the last lines, each of them short", () => {
  const transcript = openTranscript(5);
  for (let i = 0; i < 100; i++) transcript.sent(`A${i}\r\nB${i}\r\n`, 0);
  expect(transcript.lines(1)).toEqual(["> B97", "> A98", "> B98", "> A99", "> B99"]);
  transcript.received({ code: 550, lines: ["x".repeat(5000)] }, 0);
  expect(transcript.lines(1).at(-1)).toHaveLength(200);
});

test("a message finds its own first line behind those of ten others, and is forgotten in the end", () => {
  const transcript = openTranscript();
  for (let id = 1; id <= 11; id++) transcript.sent(`RCPT TO:<r${id}@d>\r\n`, id);
  for (let id = 2; id <= 11; id++) for (const code of [250, 251, 252]) transcript.received({ code, lines: [""] }, id);
  transcript.received({ code: 550, lines: ["no"] }, 1);
  expect(transcript.lines(1)).toEqual(["> RCPT TO:<r1@d>", "< 550 no"]);
  for (let i = 0; i < 70; i++) transcript.sent(`RCPT TO:<s${i}@d>\r\n`, 12);
  expect(transcript.lines(1)).toEqual([]);
});
