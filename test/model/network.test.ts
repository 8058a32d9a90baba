/** Addresses and the networks they lie in. */
import { describe, expect, test } from "vitest";
import { addressNumber, networkFinder } from "../../src/model/network.ts";

describe("a network is found", () => {
  const find = networkFinder([
    ["10.0.0.0/8", "wide"],
    ["10.1.0.0/16", "narrow"],
    ["10.1.2.0/24", "narrowest"],
    ["192.0.2.0/24", "other"],
    ["2001:db8::/32", "six"],
    ["2001:db8:7::/48", "six narrow"],
  ]);
  test.each([
    ["10.0.0.0", "wide"],
    ["10.255.255.255", "wide"],
    ["10.1.0.1", "narrow"],
    ["10.1.2.255", "narrowest"],
    ["10.1.3.0", "narrow"],
    ["10.2.0.0", "wide"],
    ["11.0.0.0", null],
    ["9.255.255.255", null],
    ["192.0.2.0", "other"],
    ["192.0.2.0/24", "other"],
    ["192.0.3.0", null],
    ["255.255.255.255", null],
    ["2001:db8:1::1", "six"],
    ["2001:DB8:7:ffff::", "six narrow"],
    ["2001:db8:7::/48", "six narrow"],
    ["2001:db9::", null],
    ["::", null],
    ["::1", null],
  ])("%s: %s", (ip, value) => expect(find(ip)).toBe(value));
});

test.each([
  "",
  "-",
  "1.2.3",
  "1.2.3.4.5",
  "256.1.1.1",
  "1..2.3",
  "a.b.c.d",
  "1.2.3.4x",
  "9".repeat(400),
  "g::1",
  ":",
  "1:2",
  "x:y:z",
])("no address: %s", (text) => expect(addressNumber(text)).toBeNull());

test("a table with a slip in it is refused", () => {
  expect(() => networkFinder([["10.0.0.1/8", 1]])).toThrow("10.0.0.1/8 is no network");
  expect(() => networkFinder([["10.0.0.0", 1]])).toThrow("no network");
  expect(() => networkFinder([["2001:db8::/64", 1]])).toThrow("no network");
});
