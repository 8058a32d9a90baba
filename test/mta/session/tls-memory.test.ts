import { expect, test } from "vitest";
import { openTlsMemory } from "../../../src/mta/session/tls-memory.ts";
import { handClock } from "../../support/clock.ts";

test.each([
  ["forward", 7_200_000],
  ["back", -7_200_000],
])("an exchanger that cannot do TLS is asked again within the hour, the system's clock put %s", async (_name, ms) => {
  const clock = handClock();
  const memory = openTlsMemory(clock);
  memory.breaks("mx.test");
  clock.jump(ms);
  await clock.advance(3_599_000);
  expect(memory.broken("mx.test")).toBe(true);
  await clock.advance(1_000);
  expect(memory.broken("mx.test")).toBe(false);
});
