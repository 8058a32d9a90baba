import { expect, test } from "vitest";
import { chaosRun } from "../support/chaos.ts";

test.each(["retry", "hold"] as const)(
  "the mta is killed again and again: nothing is lost, and only doubt makes doubles (policy %s)",
  async (inDoubt) => {
    const result = await chaosRun({ recipients: 4000, kills: 5, seed: 7, inDoubt });
    expect(result).toMatchObject({ lost: 0, unexplained: 0 });
    expect(result.kills).toBeGreaterThanOrEqual(3);
    if (inDoubt === "hold") expect(result.duplicates).toBe(0);
  },
  120_000,
);
