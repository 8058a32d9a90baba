/** Who is believed, and for how long; what a caller sees of it is in access.test.ts. */
import { expect, test } from "vitest";
import type { ApiToken } from "../../../src/db/tokens.ts";
import { openGate } from "../../../src/web/route/gate.ts";
import { handClock } from "../../support/clock.ts";

test("a revoked token stops working within five seconds, also when the system's clock is put back", async () => {
  const clock = handClock();
  let found: ApiToken | null = { id: 1, name: "app", scopes: ["deliveries:read"] };
  const gate = openGate({ clock, requestsPerSecond: 100, find: () => Promise.resolve(found) });
  const call = (): Promise<ApiToken> => gate.admit("Bearer abc", "deliveries:read");
  expect(await call()).toMatchObject({ id: 1 });
  found = null;
  expect(await call()).toMatchObject({ id: 1 });
  clock.jump(-3_600_000);
  await clock.advance(5_000);
  await expect(call()).rejects.toMatchObject({ status: 401 });
});
