import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { fromBase32 } from "../../src/model/base32.ts";
import { signToken, verifyToken } from "../../src/model/token.ts";

const key = { id: 1, secret: Buffer.alloc(32, 7) };
const other = { id: 2, secret: Buffer.alloc(32, 9) };

test("a token names its message, in either case, for every id a volume can hold", () => {
  for (const id of [0, 1, 2 ** 32 - 1, 2 ** 32, 5 * 2 ** 32 + 123, Number.MAX_SAFE_INTEGER]) {
    const token = signToken(key, id);
    expect(token).toMatch(/^[a-z2-7]{31}$/);
    expect(verifyToken([key], token)).toBe(id);
    expect(verifyToken([key], token.toUpperCase())).toBe(id);
  }
});

test.each([32, 64, 65, 200])("what it is signed with is HMAC-SHA256, with a secret of %i octets too", (length) => {
  const long = { id: 9, secret: Buffer.alloc(length, 5) };
  const bytes = fromBase32(signToken(long, 77))!;
  const mac = createHmac("sha256", long.secret).update(bytes.subarray(0, 9)).digest();
  expect(bytes.subarray(9)).toEqual(mac.subarray(0, 10));
});

test("no change of a character goes unnoticed", () => {
  const token = signToken(key, 42);
  for (let i = 0; i < token.length; i++)
    for (const c of "abcdefghijklmnopqrstuvwxyz234567")
      if (c !== token[i]) expect(verifyToken([key], token.slice(0, i) + c + token.slice(i + 1))).toBeNull();
});

test.each(["", "a", "0".repeat(31), "a".repeat(30), "a".repeat(32), "é".repeat(31), `${"a".repeat(30)}=`])(
  "%j is no token",
  (text) => {
    expect(verifyToken([key], text)).toBeNull();
  },
);

test("old keys verify until they are retired", () => {
  const token = signToken(key, 7);
  expect(verifyToken([other, key], token)).toBe(7);
  expect(verifyToken([other], token)).toBeNull();
  expect(verifyToken([], token)).toBeNull();
});
