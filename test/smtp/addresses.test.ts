import { describe, expect, test } from "vitest";
import { domainOf, parseAddress } from "../../src/smtp/addresses.ts";

describe("parseAddress", () => {
  test.each([
    ["anna@example.com", "anna@example.com"],
    ["Anna.Lind+news@Example.COM", "Anna.Lind+news@example.com"],
    ["a!#$%&'*+-/=?^_`{|}~b@x-y.example", "a!#$%&'*+-/=?^_`{|}~b@x-y.example"],
    ["root@localhost", "root@localhost"],
    ["a@1.example", "a@1.example"],
    ['"a..b"@docomo.example', '"a..b"@docomo.example'],
    ['".a."@docomo.example', '".a."@docomo.example'],
    ['"plain.one"@example.com', "plain.one@example.com"],
    ["anna@bücher.example", "anna@xn--bcher-kva.example"],
    ["anna@BÜCHER.example", "anna@xn--bcher-kva.example"],
    ["anna@例え。テスト", "anna@xn--r8jz45g.xn--zckzah"],
    [`${"a".repeat(64)}@example.com`, `${"a".repeat(64)}@example.com`],
  ])("%s is accepted as %s", (given, expected) => {
    const parsed = parseAddress(given);
    if (typeof parsed === "string") throw new Error(parsed);
    expect(parsed.address).toBe(expected);
    expect(`${parsed.local}@${parsed.domain}`).toBe(expected);
    expect(parsed.smtputf8).toBe(false);
    expect(domainOf(parsed.address)).toBe(parsed.domain);
    expect(parseAddress(parsed.address)).toEqual(parsed);
  });

  test("a local part outside ASCII needs SMTPUTF8, and is kept in NFC", () => {
    expect(parseAddress("jose\u0301@Bücher.example")).toEqual({
      address: "josé@xn--bcher-kva.example",
      local: "josé",
      domain: "xn--bcher-kva.example",
      smtputf8: true,
    });
  });

  test.each([
    ["", "no @"],
    ["anna", "no @"],
    ["@example.com", "local part is empty"],
    ["anna@", "domain is empty"],
    ["a@b@example.com", "@"],
    [".a@example.com", "dot"],
    ["a.@example.com", "dot"],
    ["a..b@example.com", "dot"],
    ["é..b@example.com", "dot"],
    ["a b@example.com", "space"],
    [" a@example.com", "space"],
    ["a@example.com ", "space"],
    ["a@exam ple.com", "space"],
    ["a\r\nBcc: x@example.com", "control"],
    ["a@example.com\r\nRCPT TO:<x@y.z>", "control"],
    ["é@example.com\r\n", "control"],
    ["a\0@example.com", "control"],
    ["a@exa\tmple.com", "control"],
    ["<a@example.com>", "<"],
    ["a@example.com>", ">"],
    ["Anna <a@example.com>", "space"],
    ["a,b@example.com", ","],
    ["a@example.com,b@example.com", ","],
    ["a(b)@example.com", "("],
    ["a\\@example.com", "\\"],
    ['"a"b"@example.com', '"'],
    ['"a@b"@example.com', "@"],
    ['"a\\"b"@example.com', "\\"],
    ['"a b"@example.com', "space"],
    ['"a\r\nb"@example.com', "control"],
    ['"@example.com', "quotes"],
    ['""@example.com', "quotes"],
    ['"a@example.com', "quotes"],
    ["a@[192.0.2.1]", "literal"],
    ["a@[IPv6:::1]", "literal"],
    ["a@192.0.2.1", "number"],
    ["a@0x7f.1", "number"],
    ["a@１２７.0.0.1", "number"],
    ["é@192.0.2.1", "number"],
    ["a@com", "no dot"],
    ["a@example..com", "label"],
    ["a@.example.com", "label"],
    ["a@example.com.", "label"],
    ["a@-example.com", "-"],
    ["a@example-.com", "hyphen"],
    ["a@exa_mple.com", "_"],
    ["a@ex%61mple.com", "%"],
    ["a@bü%2ecom", "domain is not valid"],
    ["a@bü.com\r\n", "domain is not valid"],
    ["a@bü/x.com", "domain is not valid"],
    ["a\ud800@example.com", "Unicode"],
    ["a@\ud800.com", "Unicode"],
    ["a\u202eb@example.com", "invisible"],
    ["a\u00a0b@example.com", "invisible"],
    ["a\u0085b@example.com", "invisible"],
    [`${"a".repeat(65)}@example.com`, "64"],
    [`${"é".repeat(33)}@example.com`, "64"],
    [`a@${"b".repeat(64)}.com`, "63"],
    [`a@${"b.".repeat(130)}com`, "254"],
    [`é@${"b.".repeat(125)}com`, "254"],
    ["a".repeat(1_000_000), "254"],
    [`${"é".repeat(1_000_000)}@example.com`, "254"],
  ])("%j is refused", (given, reason) => {
    const parsed = parseAddress(given);
    expect(parsed).toBeTypeOf("string");
    expect(parsed).toContain(reason);
  });
});
