/** Two statistics servers, three members with the real client, one quota; the leader is killed, or frozen, in the middle. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { sleep, systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { openQuotaClient, type QuotaClient } from "../../src/quota/client.ts";
import { openTcpLink } from "../../src/quota/link.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import { openStatProcess, type StatProcess } from "../support/stat-process.ts";
import { until } from "../support/until.ts";

const SECRET = "a secret of more than thirty-two characters";
/** In a period of five minutes. */
const LIMIT = 120;
const CONNECTIONS = 3;
const PERIOD_MS = 300_000;

let db: TestDatabase;
let dataDir: string;
let servers: StatProcess[];
let traffic: Traffic_[] = [];

interface Traffic_ {
  readonly client: QuotaClient;
  readonly done: Promise<void>;
}

/** Taken messages by period, and connections open at once, over all members. */
let taken: Map<number, number>;
let open: number;
let mostOpen: number;
let lastAt: number;
let stop: AbortController;

beforeEach(async () => {
  db = await openTestDatabase();
  dataDir = mkdtempSync(join(tmpdir(), "postilion-killed-"));
  writeFileSync(join(dataDir, "secret"), SECRET, { mode: 0o600 });
  const rule = { id: "test", mx: "*.test", scope: "rule", connections: CONNECTIONS, messagesPerHour: LIMIT * 12 };
  const settings = {
    dataDir,
    stat: { port: 0, secretFile: join(dataDir, "secret"), leaderMs: 1500, snapshotMs: 500, rules: [rule] },
  };
  servers = await Promise.all([openStatProcess(settings, db.url), openStatProcess(settings, db.url)]);
  await until(() => servers.some(({ leads }) => leads));
  taken = new Map();
  open = mostOpen = lastAt = 0;
  stop = new AbortController();
  traffic = ["a/0", "b/0", "c/0"].map(member);
  await until(() => traffic.every(({ client }) => client.connected));
});

afterEach(async () => {
  stop.abort();
  for (const { client } of traffic) client.close();
  await Promise.all(traffic.map(({ done }) => done));
  for (const server of servers) await server.close();
  await db.close();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Takes a message every few milliseconds, some on each connection, as long as it may. */
function member(name: string): Traffic_ {
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  const options = { addresses, secret: Buffer.from(SECRET), member: name, tls: null };
  const client = openQuotaClient({
    clock: systemClock,
    link: openTcpLink({ ...options, clock: systemClock, log: silentLog }),
  });
  const lane = { site: "mx.test", mx: "mx.test", publicId: 1, localAddress: "" };
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const grant = await client.connection(lane, [{ mx: "mx.test", ip: "192.0.2.1" }], false, stop.signal);
      if (grant === null) return;
      mostOpen = Math.max(mostOpen, ++open);
      for (let i = 0; i < 4 && !grant.revoked && !stop.signal.aborted;) {
        const { promise: woken, resolve: wake } = Promise.withResolvers<void>();
        if (grant.messages(1, wake) === 1) {
          i++;
          const period = Math.floor(Date.now() / PERIOD_MS);
          taken.set(period, (taken.get(period) ?? 0) + 1);
          lastAt = performance.now();
          await sleep(40);
        } else await Promise.race([woken, sleep(200)]);
      }
      open--;
      grant.close();
    }
  };
  return { client, done: run() };
}

const total = (): number => [...taken.values()].reduce((sum, each) => sum + each, 0);

/** Nothing above the rule, whatever happened; the boundary of two periods may lie in the middle of the test. */
function within(): void {
  for (const [period, messages] of taken) expect(messages, `period ${period}`).toBeLessThanOrEqual(LIMIT);
  expect(mostOpen).toBeLessThanOrEqual(CONNECTIONS);
}

/** Until nothing was taken for two seconds: the period is used up, as far as it can be. */
const exhausted = (): Promise<unknown> =>
  until(() => performance.now() - lastAt > 2000, { timeoutMs: 30_000, what: "the quota to be used up" });

test(
  "kill -9 of the leader: the other goes on within seconds, and no message is above the rule",
  { timeout: 60_000 },
  async () => {
    await until(() => total() >= 20);
    const leader = servers.find(({ leads }) => leads)!;
    const other = servers.find((each) => each !== leader)!;
    leader.signal("SIGKILL");
    const before = total();
    await until(() => other.leads && traffic.every(({ client }) => client.connected), { timeoutMs: 30_000 });
    await exhausted();
    within();
    expect(total()).toBeGreaterThan(before);
  },
);

test(
  "a leader that is frozen, replaced, and wakes again: nobody gets more than the rule",
  { timeout: 90_000 },
  async () => {
    await until(() => total() >= 20);
    const leader = servers.find(({ leads }) => leads)!;
    const other = servers.find((each) => each !== leader)!;
    leader.signal("SIGSTOP");
    await until(() => other.leads && traffic.every(({ client }) => client.connected), { timeoutMs: 30_000 });
    leader.signal("SIGCONT");
    await until(() => leader.log.includes("does not lead any more"));
    await exhausted();
    within();
    expect(leader.leads).toBe(false);
  },
);
