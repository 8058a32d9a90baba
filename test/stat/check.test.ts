/** What the mta tells of its lanes is what the server takes. */
import { expect, test } from "vitest";
import { BadMessage, checkClientMessage } from "../../src/stat/server/check.ts";

const LANE = { site: "receiver.example", mx: "", publicId: 0, waiting: 3, inFlight: 0, sessions: 0 };
const hold = { kind: "dns", by: "dns", text: "its exchangers are being looked up", since: 1, until: 0 };

test("a domain whose exchangers are being looked up has none yet", () => {
  expect(checkClientMessage({ t: "lanes", lanes: [{ ...LANE, hold }] })).toEqual({
    t: "lanes",
    lanes: [{ ...LANE, hold }],
  });
});

test.each([{ mx: 5 }, { mx: "a b\n" }, { mx: "x".repeat(300) }, { site: "" }, { waiting: -1 }])(
  "%j is refused",
  (parts) => {
    expect(() => checkClientMessage({ t: "lanes", lanes: [{ ...LANE, hold, ...parts }] })).toThrow(BadMessage);
  },
);
