import { describe, expect, test } from "vitest";
import { display, enhancedCode, openReplyParser, replyText, type Reply } from "../../src/smtp/reply.ts";

/** Feeds the pieces; the replies as `code|line|line`, and the error. */
function read(...pieces: (string | Buffer)[]): { replies: string[]; error: string; unread: boolean } {
  const parser = openReplyParser();
  const replies: string[] = [];
  let error = "";
  for (const piece of pieces) {
    const bytes = typeof piece === "string" ? Buffer.from(piece, "latin1") : piece;
    error ||= parser.push(bytes, (reply) => {
      replies.push([reply.code, ...reply.lines].join("|"));
      return true;
    });
  }
  return { replies, error, unread: parser.unread };
}

describe("what is not a reply", () => {
  const nonsense: [name: string, input: string | Buffer, error: RegExp][] = [
    ["an HTTP server", "HTTP/1.1 400 Bad Request\r\n", /^not an SMTP reply: HTTP\/1\.1 400 Bad Request$/],
    ["an empty line", "\r\n", /^not an SMTP reply: $/],
    ["two digits", "25\r\n", /not an SMTP reply/],
    ["four digits", "2500 ok\r\n", /not an SMTP reply/],
    ["a tab behind the code", "250\tok\r\n", /not an SMTP reply/],
    ["a space before the code", " 250 ok\r\n", /not an SMTP reply/],
    ["a 1yz code", "150 wait\r\n", /not an SMTP reply/],
    ["a 6yz code", "650 no\r\n", /not an SMTP reply/],
    ["NUL before the code", "\x00250 ok\r\n", /not an SMTP reply/],
    ["eight-bit garbage", Buffer.from([0xff, 0xfe, 0x80, 0x99, 10]), /not an SMTP reply/],
    ["a lone CR as line end", "250 a\r250 b\r251 c", /^$/],
    ["another code within a reply", "250-a\r\n251 b\r\n", /^a reply 250 goes on with: 251 b$/],
    ["text without code within a reply", "250-a\r\nhello\r\n", /a reply 250 goes on with: hello/],
    ["a line of 8 KB and more", `250 ${"x".repeat(9000)}\r\n`, /more than 8 KB/],
    ["a line of 8 KB without end", `250 ${"x".repeat(9000)}`, /more than 8 KB/],
    ["201 lines", `${"250-x\r\n".repeat(201)}250 x\r\n`, /more than 64 KB or 200 lines/],
    ["65 KB", `${`250-${"x".repeat(2000)}\r\n`.repeat(33)}250 x\r\n`, /more than 64 KB or 200 lines/],
  ];
  for (const [name, input, error] of nonsense) {
    test(name, () => {
      const got = read(input);
      expect(got.replies).toEqual([]);
      expect(got.error).toMatch(error);
    });
  }

  test("a line without end that drips in", () => {
    const parser = openReplyParser();
    let error = "";
    let bytes = 0;
    while (error === "" && bytes < 20_000) {
      error = parser.push(Buffer.from("2"), () => true);
      bytes++;
    }
    expect(error).toMatch(/more than 8 KB/);
    expect(bytes).toBe(8193);
  });

  test("replies before the nonsense count", () => {
    expect(read("250 a\r\nHTTP\r\n")).toMatchObject({ replies: ["250|a"], error: "not an SMTP reply: HTTP" });
  });
});

describe("replies", () => {
  const good: [name: string, input: string, replies: string[]][] = [
    ["one line", "250 2.0.0 Ok\r\n", ["250|2.0.0 Ok"]],
    ["no text", "250\r\n", ["250|"]],
    ["no text behind the space", "250 \r\n", ["250|"]],
    ["LF only", "250-a\n250 b\n354 go\n", ["250|a|b", "354|go"]],
    ["several lines", "250-mx.test\r\n250-SIZE 10\r\n250 HELP\r\n", ["250|mx.test|SIZE 10|HELP"]],
    ["an empty line within", "250-\r\n250 x\r\n", ["250||x"]],
    ["the last line without text", "250-a\r\n250\r\n", ["250|a|"]],
    ["many at once", "250 a\r\n250 b\r\n354 c\r\n", ["250|a", "250|b", "354|c"]],
    ["NUL and eight bits in the text", "550 a\0b\xe9\r\n", ["550|a\0b\xe9"]],
    ["200 lines", `${"250-x\r\n".repeat(199)}250 x\r\n`, [`250${"|x".repeat(200)}`]],
    ["a line of nearly 8 KB", `250 ${"x".repeat(8186)}\r\n`, [`250|${"x".repeat(8186)}`]],
  ];
  for (const [name, input, replies] of good) {
    test(name, () => expect(read(input)).toEqual({ replies, error: "", unread: false }));
    test(`${name}, byte by byte`, () => {
      expect(read(...Array.from(input))).toEqual({ replies, error: "", unread: false });
    });
  }

  test("split in two at every place", () => {
    const input = "220-mx.test hi\r\n220 go\r\n250 a\r\n451 4.7.1 later\r\n";
    for (let at = 1; at < input.length; at++) {
      expect(read(input.slice(0, at), input.slice(at)).replies).toEqual([
        "220|mx.test hi|go",
        "250|a",
        "451|4.7.1 later",
      ]);
    }
  });

  test("unread: what follows a reply in the same packet (CVE-2011-0411)", () => {
    const seen: boolean[] = [];
    const parser = openReplyParser();
    const take = (): boolean => seen.push(parser.unread) > 0;
    parser.push(Buffer.from("220 go\r\n250 injected\r\n"), take);
    parser.push(Buffer.from("250-half\r\n"), take);
    expect(seen).toEqual([true, false]);
    expect(parser.unread).toBe(true);
  });

  test("stops when told, and keeps the rest", () => {
    const parser = openReplyParser();
    const codes: number[] = [];
    parser.push(Buffer.from("250 a\r\n251 b\r\n"), (reply) => {
      codes.push(reply.code);
      return false;
    });
    expect(codes).toEqual([250]);
    expect(parser.unread).toBe(true);
  });
});

describe("texts", () => {
  const reply = (code: number, ...lines: string[]): Reply => ({ code, lines });

  test.each([
    [reply(550, "5.1.1 User unknown"), "5.1.1"],
    [reply(250, "2.0.0 Ok"), "2.0.0"],
    [reply(250, "2.1.5"), "2.1.5"],
    [reply(550, "#5.1.0 Address rejected."), "5.1.0"],
    [reply(550, "5.001.001 padded"), "5.1.1"],
    [reply(550, "4.2.1 contradicts the code"), ""],
    [reply(550, "5.1.1.2 too long"), ""],
    [reply(550, "5.1.1: x"), ""],
    [reply(550, "5.1234.1 x"), ""],
    [reply(550, "User unknown 5.1.1"), ""],
    [reply(250, ""), ""],
  ])("enhanced code of %j", (given, expected) => {
    expect(enhancedCode(given)).toBe(expected);
  });

  test("many lines become one, the repeated code goes", () => {
    expect(replyText(reply(550, "5.7.1 Not", "5.7.1 here", "see http://x"))).toBe("5.7.1 Not here see http://x");
  });

  test("control characters go, length has a limit", () => {
    expect(display("a\0b\x1b[31m\tc\x85d\x7f\r\n")).toBe("ab[31m cd");
    expect(display("x".repeat(100_000))).toHaveLength(500);
    expect(replyText(reply(550, ..."y".repeat(199).split("")))).toHaveLength(397);
  });
});
