import type { IncomingMessage } from "node:http";
import { describe, expect, test } from "vitest";
import { type Log, silentLog } from "../../src/base/log.ts";
import { openClientAddresses, shortened } from "../../src/redirector/client-address.ts";

/** A request over a connection of its own. */
const from = (remoteAddress: string, forwarded?: string): IncomingMessage =>
  ({
    socket: { remoteAddress },
    headers: forwarded === undefined ? {} : { "x-forwarded-for": forwarded },
  }) as unknown as IncomingMessage;

const PROXIES = ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"];

describe("a header is not believed", () => {
  const of = (remote: string, forwarded?: string, proxies = PROXIES): string =>
    openClientAddresses(proxies, "full").of(from(remote, forwarded));

  test.each<[string, string, string | undefined, string]>([
    ["of whoever is no trusted proxy", "198.51.100.7", "203.0.113.9", "198.51.100.7"],
    ["of a neighbour of one", "192.0.2.2", "203.0.113.9", "192.0.2.2"],
    ["that is not there", "10.1.2.3", undefined, "10.1.2.3"],
    ["that is empty", "10.1.2.3", "", "10.1.2.3"],
    ["that is no address", "10.1.2.3", "unknown", "10.1.2.3"],
    ["further left than the first stranger", "10.1.2.3", "6.6.6.6, 203.0.113.9", "203.0.113.9"],
    ["further left than nonsense", "10.1.2.3", "6.6.6.6, <script>, 10.9.9.9", "10.9.9.9"],
    ["further left than a thousand characters", "10.1.2.3", `6.6.6.6${", 10.0.0.1".repeat(200)}`, "10.0.0.1"],
  ])("%s", (_what, remote, forwarded, expected) => {
    expect(of(remote, forwarded)).toBe(expected);
  });
  test("when no proxy is trusted", () => {
    expect(of("10.1.2.3", "203.0.113.9", [])).toBe("10.1.2.3");
  });
});

test("a proxy before us that is not trusted is told of, once; a stranger who says so is not", () => {
  const told: object[] = [];
  const log: Log = { ...silentLog, warn: (fields) => void told.push(fields) };
  const addresses = openClientAddresses(["10.0.0.0/8"], "short", log);
  for (const remote of ["203.0.113.9", "10.1.2.3"]) addresses.of(from(remote, "198.51.100.7"));
  addresses.of(from("127.0.0.1"));
  expect(told).toEqual([]);
  for (let i = 0; i < 3; i++) addresses.of(from("::ffff:127.0.0.1", "198.51.100.7"));
  expect(told).toEqual([{ proxy: "127.0.0.1" }]);
});

describe("a trusted proxy's is", () => {
  test.each([
    ["10.1.2.3", "203.0.113.9", "203.0.113.9"],
    ["::ffff:10.1.2.3", "203.0.113.9", "203.0.113.9"],
    ["10.1.2.3", " 203.0.113.9 , 10.7.7.7,192.0.2.1", "203.0.113.9"],
    ["10.1.2.3", "203.0.113.9:4711", "203.0.113.9"],
    ["2001:db8::1", "[2001:DB9::9]:4711", "2001:db9::9"],
    ["2001:db8::1", "fe80::1%eth0", "fe80::1"],
    ["10.1.2.3", "::ffff:203.0.113.9", "203.0.113.9"],
    ["10.1.2.3", "10.4.4.4, 10.5.5.5", "10.4.4.4"],
  ])("%s says %s", (remote, forwarded, expected) => {
    expect(openClientAddresses(PROXIES, "full").of(from(remote, forwarded))).toBe(expected);
  });
});

test("as much of it as the settings let through", () => {
  for (const [keep, expected] of [
    ["full", "203.0.113.77"],
    ["short", "203.0.113.0"],
    ["none", ""],
  ] as const) {
    expect(openClientAddresses([], keep).of(from("203.0.113.77"))).toBe(expected);
    expect(openClientAddresses(PROXIES, keep).of(from("10.1.2.3", "203.0.113.77"))).toBe(expected);
  }
  expect(openClientAddresses([], "short").of({ socket: {}, headers: {} } as unknown as IncomingMessage)).toBe("");
});

test.each([
  ["203.0.113.77", "203.0.113.0"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1::"],
  ["2001:db8::1", "2001:db8::"],
  ["2001:db8:0:1::", "2001:db8::"],
  ["::1", "::"],
  ["::", "::"],
  ["1::2:3:4:5:6:7", "1:0:2::"],
  ["::2:3:4:5:6:7:8", "0:2:3::"],
  ["64:ff9b::203.0.113.9", "64:ff9b::"],
  ["1:2:3:4:5:6:203.0.113.9", "1:2:3::"],
  ["", ""],
  ["no address", ""],
])("%s is shortened to %s", (address, expected) => {
  expect(shortened(address)).toBe(expected);
});

test.each(["10.0.0.0/33", "10.0.0", "10.0.0.0/", "::/129", "proxy.example.com", "10.0.0.0/-1"])(
  "%s is no proxy to trust",
  (entry) => {
    expect(() => openClientAddresses([entry], "full")).toThrow(expect.objectContaining({ code: "SETTINGS_INVALID" }));
  },
);
