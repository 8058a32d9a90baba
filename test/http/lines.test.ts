/** Lines and CSV: the same result wherever the stream is cut, and bounded whatever comes. */
import { expect, test } from "vitest";
import { openCsv } from "../../src/http/csv.ts";
import { openLines } from "../../src/http/lines.ts";

type Seen = (string | number)[][];

function lines(bytes: Buffer, size: number, most = 50): Seen {
  const seen: Seen = [];
  const open = openLines(most, {
    line: (text, number) => void seen.push([number, text]),
    fault: (fault, number) => void seen.push([number, "!", fault]),
  });
  for (let at = 0; at < bytes.length; at += size) open.push(bytes.subarray(at, at + size));
  open.end();
  return seen;
}

test("lines are the same wherever the stream is cut", () => {
  const bytes = Buffer.concat([
    Buffer.from("a\r\n\n\r\nzwei ü€😀\n"),
    Buffer.from([0x78, 0xff, 0x0a]),
    Buffer.from(`${"l".repeat(50)}\n${"m".repeat(51)}\n${"n".repeat(500)}\nafter\r\n`),
    Buffer.from("last ü"),
  ]);
  const whole = [
    [1, "a"],
    [2, ""],
    [3, ""],
    [4, "zwei ü€😀"],
    [5, "!", "not-utf-8"],
    [6, "l".repeat(50)],
    [7, "!", "too-long"],
    [8, "!", "too-long"],
    [9, "after"],
    [10, "last ü"],
  ];
  for (let size = 1; size <= bytes.length; size++) expect(lines(bytes, size), `cut every ${size}`).toEqual(whole);
});

test("a stream without a line feed is one line, an empty one none", () => {
  expect(lines(Buffer.from(""), 1)).toEqual([]);
  expect(lines(Buffer.from("x"), 1)).toEqual([[1, "x"]]);
  expect(lines(Buffer.from("x\n"), 1)).toEqual([[1, "x"]]);
  expect(lines(Buffer.alloc(10_000, "y"), 7)).toEqual([[1, "!", "too-long"]]);
});

function csv(text: string): Seen {
  const seen: Seen = [];
  const records = openCsv({
    record: (fields, number) => void seen.push([number, ...fields]),
    fault: (reason, number) => void seen.push([number, "!", reason]),
  });
  text.split("\n").forEach((line, i) => records.line(line, i + 1));
  records.end();
  return seen;
}

test.each<[string, Seen]>([
  [
    "a,b\n1,2",
    [
      [1, "a", "b"],
      [2, "1", "2"],
    ],
  ],
  [
    'a,b\n"1,5",""\n"",x',
    [
      [1, "a", "b"],
      [2, "1,5", ""],
      [3, "", "x"],
    ],
  ],
  [
    'a;b\n"x""y";"l1\nl2\n\nl4"\n3;4',
    [
      [1, "a", "b"],
      [2, 'x"y', "l1\nl2\n\nl4"],
      [6, "3", "4"],
    ],
  ],
  [
    'a\tb\n5" pipe\t"q"tail',
    [
      [1, "a", "b"],
      [2, '5" pipe', "qtail"],
    ],
  ],
  [
    'a,b\nx,"open\n1,2',
    [
      [1, "a", "b"],
      [2, "!", "a quote is not closed: lines 2 to 3 are left out"],
    ],
  ],
  [
    "\uFEFFa,b\n\n1,2,",
    [
      [1, "a", "b"],
      [3, "1", "2", ""],
    ],
  ],
  [
    '"a","b"\n"x,',
    [
      [1, "a", "b"],
      [2, "!", "a quote is not closed: lines 2 to 2 are left out"],
    ],
  ],
])("csv %j", (text, expected) => {
  expect(csv(text)).toEqual(expected);
});
