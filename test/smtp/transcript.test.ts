import { expect, test } from "vitest";
import { openTranscript } from "../../src/smtp/transcript.ts";

test("lines of both sides in order", () => {
  const transcript = openTranscript();
  transcript.received({ code: 220, lines: ["mx", "go\0\x07"] });
  transcript.sent("MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
  transcript.body(1234);
  transcript.received({ code: 250, lines: [""] });
  expect(transcript.lines()).toEqual([
    "< 220-mx",
    "< 220 go",
    "> MAIL FROM:<a@b>",
    "> RCPT TO:<c@d>",
    "> [1234 octets]",
    "< 250",
  ]);
});

test("only the last lines, each of them short", () => {
  const transcript = openTranscript(5);
  for (let i = 0; i < 100; i++) transcript.sent(`A${i}\r\nB${i}\r\n`);
  expect(transcript.lines()).toEqual(["> B97", "> A98", "> B98", "> A99", "> B99"]);
  transcript.received({ code: 550, lines: ["x".repeat(5000)] });
  expect(transcript.lines().at(-1)).toHaveLength(200);
});
