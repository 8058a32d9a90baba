import { expect, test } from "vitest";
import { said } from "../../src/model/said.ts";

test.each([
  [451, "4.7.1", "4.7.1 Try again", "451 4.7.1 Try again"],
  [451, "4.7.1", "Try again 4.7.1", "451 4.7.1 Try again 4.7.1"],
  [451, "4.7.1", "4.7.11 Try again", "451 4.7.1 4.7.11 Try again"],
  [550, "5.1.1", "5.1.1", "550 5.1.1"],
  [421, "", "busy", "421 busy"],
  [0, "", "connection refused", "connect connection refused"],
])("%i %s %s", (code, enhanced, text, expected) => {
  expect(said({ code, enhanced, text }, "connect")).toBe(expected);
});
