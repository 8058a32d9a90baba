import { expect, test } from "vitest";
import { chaosRun } from "../support/chaos.ts";
import { openTestDatabase } from "../support/database.ts";

test.concurrent.for(["retry", "hold"] as const)(
  "the mta is killed again and again: nothing is lost, and only doubt makes doubles (policy %s)",
  { timeout: 180_000 },
  async (inDoubt, { onTestFinished }) => {
    const database = await openTestDatabase();
    onTestFinished(() => database.close());
    const result = await chaosRun({ recipients: 2500, kills: 5, seed: 7, inDoubt, database });
    expect(result).toMatchObject({ lost: 0, unexplained: 0 });
    expect(result.kills).toBe(5);
    expect(result.inDoubt).toBeGreaterThan(0);
    if (inDoubt === "hold") expect(result.duplicates).toBe(0);
  },
);
