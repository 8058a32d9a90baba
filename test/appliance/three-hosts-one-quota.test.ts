/**
 * Three mta hosts share one outgoing IP and one rule. One is cut off from stat, stat is killed, comes back, the host is mended, all while
 * they send: nothing above the rule at any moment, and it never stands still either.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sleep } from "../../src/base/clock.ts";
import { putCluster } from "../support/cluster.ts";
import { whyNoHosts } from "../support/netns.ts";
import { mostAhead, mostInPeriod, openQuotaHosts, type QuotaHosts } from "../support/quota-hosts.ts";
import { until } from "../support/until.ts";

const why = whyNoHosts();
if (why !== "") console.log(`skipped: several hosts (${why})`);

/** Two in three seconds, 200 in a period of five minutes. */
const PER_HOUR = 2400;
const CONNECTIONS = 3;

describe.skipIf(why !== "")("a quota over several hosts", () => {
  let run: QuotaHosts;
  beforeAll(async () => {
    run = await openQuotaHosts({
      rule: { scope: "ip", connections: CONNECTIONS, messagesPerHour: PER_HOUR, pacing: "smooth" },
      recipients: 500,
      prepare: putCluster,
    });
  }, 180_000);
  afterAll(() => run?.close());

  async function more(count: number, what: string): Promise<void> {
    const before = run.arrivals.length;
    await until(() => run.arrivals.length >= before + count, { what, timeoutMs: 60_000 });
  }

  test("holds while a host is cut off and stat is killed and comes back, and mail goes on", async () => {
    await more(3, "mail from three hosts");
    run.cutFromStat(2);
    await more(2, "mail while a host is cut off");
    await run.killStat();
    await more(2, "mail without stat");
    await run.startStat();
    run.mend(2);
    await more(2, "mail when all is well again");
    await sleep(1000);
    expect(run.mostConnections).toBeLessThanOrEqual(CONNECTIONS);
    expect(mostInPeriod(run.arrivals, 300_000)).toBeLessThanOrEqual(PER_HOUR / 12);
    // Smooth: never more than a few ahead of an even pace through the period.
    expect(mostAhead(run.arrivals, PER_HOUR / 12, 300_000)).toBeLessThanOrEqual(4);
  }, 300_000);
});
