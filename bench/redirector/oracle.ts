/**
 * What it costs to find out that a token or link is none: no more than to find out that it is one, wherever the mistake is. Measured in short turns, the
 * quickest tenth of them counts: what else the machine does only ever adds.
 */
import { signLink, verifyLink } from "../../src/model/link.ts";
import { signToken, type TokenKey, verifyToken } from "../../src/model/token.ts";
import { percentile, printTable, round } from "../table.ts";

const TURNS = 400;
const EACH = 200;

/** The dearest of the wrong ones against the right one. */
export function measureOracle(key: TokenKey): { readonly badOfGood: number } {
  const token = signToken(key, 123_456_789);
  const link = signLink(key, {
    kind: "click",
    delivery: 4711,
    number: 12,
    url: `https://www.example.com/${"a".repeat(80)}`,
  });
  const ring = [key, { id: 200, secret: Buffer.alloc(32, 9) }];
  const wrong = (text: string, at: number): string =>
    `${text.slice(0, at)}${text[at] === "a" ? "b" : "a"}${text.slice(at + 1)}`;
  const ofToken = (text: string) => (): unknown => verifyToken(ring, text);
  const ofLink = (text: string) => (): unknown => verifyLink(ring, text);
  const cases: readonly [what: string, verify: () => unknown][] = [
    ["genuine token", ofToken(token)],
    ["token: another message", ofToken(wrong(token, 10))],
    ["token: first octet of the sum", ofToken(wrong(token, 16))],
    ["token: last octet of the sum", ofToken(wrong(token, 28))],
    ["token: unknown key", ofToken(wrong(token, 0))],
    ["genuine link", ofLink(link)],
    ["link: another URL", ofLink(wrong(link, 60))],
    ["link: last octet of the sum", ofLink(wrong(link, link.length - 4))],
    ["link: unknown key", ofLink(wrong(link, 0))],
  ];
  const taken = cases.map((): number[] => []);
  for (let turn = 0; turn < TURNS; turn++) {
    cases.forEach(([, verify], i) => {
      const began = performance.now();
      for (let n = 0; n < EACH; n++) verify();
      taken[i]!.push(((performance.now() - began) / EACH) * 1000);
    });
  }
  const micros = taken.map((turns) => percentile(turns, 0.1));
  printTable(
    ["verifying", "µs"],
    cases.map(([what], i) => [what, round(micros[i]!)]),
  );
  const genuine = cases.findIndex(([what]) => what === "genuine link");
  const worst = (from: number, to: number): number => Math.max(...micros.slice(from + 1, to)) / micros[from]!;
  return { badOfGood: round(Math.max(worst(0, genuine), worst(genuine, cases.length))) };
}
