import { describe, expect, test } from "vitest";
import { isPublicAddress } from "../../src/mta/public-address.ts";

/** The first and the last address of what is refused, with its neighbours outside where they are public. */
const REFUSED = `
  0.0.0.0 0.255.255.255 10.0.0.0 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 127.255.255.255 169.254.0.0
  169.254.169.254 172.16.0.0 172.31.255.255 192.0.0.8 192.0.2.1 192.168.0.0 192.168.255.255 198.18.0.1
  198.19.255.255 198.51.100.7 203.0.113.7 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::7f00:1
  fc00::1 fdff:ffff::1 fe80::1 febf::1 fec0::1 ff02::1 2001:db8::1 100::1 64:ff9b:1::1
`
  .trim()
  .split(/\s+/);
const PUBLIC = `
  1.0.0.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255
  169.255.0.0 172.15.255.255 172.32.0.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255
  8.8.8.8 2606:4700::1111 2a00:1450:4001::1a fbff::1 2001:db7::1
`
  .trim()
  .split(/\s+/);
/** Every way to write an IPv4 address inside an IPv6 one that reaches the same host. */
const inside = (four: string): string[] => {
  const [a = 0, b = 0, c = 0, d = 0] = four.split(".").map(Number);
  const hex = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  return [`::ffff:${four}`, `::FFFF:${hex}`, `0:0:0:0:0:ffff:${hex}`, `64:ff9b::${four}`, `64:ff9b::${hex}`];
};

describe("refused", () => {
  test.each(REFUSED)("%s", (address) => expect(isPublicAddress(address)).toBe(false));
  test.each(REFUSED.filter((address) => address.includes(".")).flatMap(inside))("%s", (address) =>
    expect(isPublicAddress(address)).toBe(false),
  );
  test.each(["", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "fe80::1%lo", "10.0.0.1 ", "[::1]"])(
    "what is no plain address: '%s'",
    (address) => expect(isPublicAddress(address)).toBe(false),
  );
});

describe("public", () => {
  test.each(PUBLIC)("%s", (address) => expect(isPublicAddress(address)).toBe(true));
  test.each(inside("8.8.8.8"))("%s", (address) => expect(isPublicAddress(address)).toBe(true));
});
