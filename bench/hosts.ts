/**
 * One quota for three mta hosts and a stat host, each in a network namespace of its own: a rule of 1,200 an hour and 3 connections, a sink
 * that counts by the clock. One host is cut off from stat, stat is killed and comes back, the host is mended, all while they send.
 *
 *     npm run bench -- hosts [--phase 60] [--pacing periods|smooth]
 */
import { sleep } from "../src/base/clock.ts";
import { whyNoHosts } from "../test/support/netns.ts";
import { mostInPeriod, mostWithin, openQuotaHosts } from "../test/support/quota-hosts.ts";
import type { BenchOptions } from "./bench.ts";
import { printTable } from "./table.ts";

const PER_HOUR = 1200;
const CONNECTIONS = 3;
const PERIOD_MS = 300_000;

export async function hosts(options: BenchOptions): Promise<Record<string, unknown>> {
  const why = whyNoHosts();
  if (why !== "") return { skipped: why };
  const phaseMs = Number(options.values["phase"] ?? (options.short ? 10 : 60)) * 1000;
  const pacing = options.values["pacing"] ?? "smooth";
  const run = await openQuotaHosts({
    rule: { scope: "ip", connections: CONNECTIONS, messagesPerHour: PER_HOUR, pacing },
    recipients: 3000,
  });
  const rows: (string | number)[][] = [];
  let seen = 0;
  const phase = async (name: string): Promise<void> => {
    await sleep(phaseMs);
    rows.push([name, run.arrivals.length - seen, run.connectionsByHost().join(" / ")]);
    seen = run.arrivals.length;
  };
  try {
    await phase("three hosts, stat up");
    run.cutFromStat(2);
    await phase("the third cut off from stat");
    await run.killStat();
    await phase("stat killed");
    await run.startStat();
    await phase("stat back");
    run.mend(2);
    await phase("the third mended");
  } finally {
    await run.close();
  }
  const period = mostInPeriod(run.arrivals, PERIOD_MS);
  printTable(["phase", "messages", "connections so far by host"], rows);
  console.log(
    `\nmost in a period of five minutes ${period} (rule ${PER_HOUR / 12}); most in any minute ${mostWithin(run.arrivals, 60_000)};` +
      ` most connections at once ${run.mostConnections} (rule ${CONNECTIONS})`,
  );
  return {
    pacing,
    messages: run.arrivals.length,
    mostInPeriod: period,
    periodLimit: PER_HOUR / 12,
    mostConnections: run.mostConnections,
    connectionLimit: CONNECTIONS,
  };
}
