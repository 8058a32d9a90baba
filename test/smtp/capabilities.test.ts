import { expect, test } from "vitest";
import { capabilities, NO_CAPABILITIES } from "../../src/smtp/capabilities.ts";

const offered = (...lines: string[]) => capabilities({ code: 250, lines: ["mx.test", ...lines] });

test("nothing offered", () => {
  expect(offered()).toEqual(NO_CAPABILITIES);
  expect(NO_CAPABILITIES.auth).toEqual([]);
});

test("the greeting is no capability", () => {
  expect(capabilities({ code: 250, lines: ["PIPELINING"] }).pipelining).toBe(false);
});

test("keywords in any case", () => {
  const got = offered("pipelining", "Chunking", "8BITMIME", "SMTPUTF8", "STARTTLS", "DSN", "HELP", "");
  expect(got).toMatchObject({
    pipelining: true,
    chunking: true,
    eightBitMime: true,
    smtputf8: true,
    starttls: true,
    dsn: true,
  });
});

test.each([
  ["SIZE 1000", 1000, true],
  ["SIZE 0", 0, true],
  ["SIZE", 0, true],
  ["SIZE -5", 0, true],
  ["SIZE 99999999999999999999", 0, true],
  ["SIZEX 5", 0, false],
])("%s", (line, sizeLimit, size) => {
  expect(offered(line)).toMatchObject({ sizeLimit, size });
});

test("AUTH, in the old spelling too, from several lines", () => {
  expect(offered("AUTH=login", "AUTH PLAIN cram-md5").auth).toEqual(["LOGIN", "PLAIN", "CRAM-MD5"]);
});
