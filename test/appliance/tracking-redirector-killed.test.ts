/**
 * A redirection server on a machine of its own is killed under load, twice, and started again on what it has left. Every click that was answered is
 * counted once, by the whole chain: its log, the workflow's pull, the database. One that was not answered is counted once at most.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { start } from "../../src/workflow/start.ts";
import { openTestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";
import { people } from "../support/taking.ts";
import { link, token } from "../support/redirector.ts";
import { openRedirectorProcess, putKeys } from "../support/redirector-process.ts";
import { until } from "../support/until.ts";

const LOOPS = 8;
/** Clicks that are answered before each kill, and after the last. */
const BETWEEN = 400;

/** True: it was redirected; false: nobody knows. */
function click(agent: Agent, url: string, name: string): Promise<boolean> {
  return new Promise((resolve) => {
    const asked = request(url, { agent, headers: { "user-agent": name } }, (response) => {
      response.resume();
      response.once("end", () => resolve(response.statusCode === 302));
      response.once("error", () => resolve(false));
    });
    asked.once("error", () => resolve(false));
    asked.end();
  });
}

/** Clicks as fast as it goes, each with a name of its own, until told to stop. */
function load(url: string, messages: readonly number[], deliveryId: number) {
  const answered = new Set<string>();
  const unknown = new Set<string>();
  const agent = new Agent({ keepAlive: true, maxSockets: LOOPS });
  let going = true;
  let count = 0;
  const loop = async (): Promise<void> => {
    while (going) {
      const name = `Browser ${++count}`;
      const message = messages[count % messages.length]!;
      const path = `/r/${token(message)}/${link({ delivery: deliveryId, number: 1 })}`;
      if (await click(agent, `${url}${path}`, name)) answered.add(name);
      else {
        unknown.add(name);
        // Nobody is there: who clicks tries again a moment later.
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  };
  const loops = Promise.all(Array.from({ length: LOOPS }, loop));
  return {
    answered,
    unknown,
    async stop() {
      going = false;
      await loops;
      agent.destroy();
    },
  };
}

test("every answered click is counted once, whenever its server was killed", async () => {
  const db = await openTestDatabase();
  onTestFinished(() => db.close());
  const { id, firstId } = await putDelivery(db.sql, { addresses: people(50) });
  const messages = Array.from({ length: 50 }, (_, i) => firstId + i);
  const server = await openRedirectorProcess();
  onTestFinished(() => server.close());
  const url = `http://127.0.0.1:${server.port}`;
  const dataDir = mkdtempSync(join(tmpdir(), "postilion-workflow-"));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  putKeys(dataDir);
  const workflow = await start({
    settings: parseSettings({
      dataDir,
      tracking: { url },
      workflow: { redirectors: [url], leaderMs: 2000, pullRecords: 100 },
    }),
    log: silentLog,
    sql: db.sql,
    clock: systemClock,
    slot: 0,
  });
  onTestFinished(() => workflow.drain());

  const clicks = load(url, messages, id);
  for (let kills = 0; kills < 2; kills++) {
    const before = clicks.answered.size;
    await until(() => clicks.answered.size > before + BETWEEN, { what: "clicks to be answered" });
    await server.kill();
    await server.start();
  }
  const before = clicks.answered.size;
  await until(() => clicks.answered.size > before + BETWEEN, { what: "clicks to be answered again" });
  await clicks.stop();
  expect(clicks.unknown.size).toBeGreaterThan(0);
  // The log is read in order: when this one is there, all that can be are.
  await click(new Agent(), `${url}/r/${token(firstId)}/${link({ delivery: id, number: 2 })}`, "The last one");
  await until(async () => (await db.sql`select from tracking where link = 2`).length === 1, {
    what: "the last click to be counted",
    timeoutMs: 30_000,
  });

  const rows = await db.sql<{ name: string; times: number }[]>`
    select u.text as name, count(*)::int as times from tracking t join user_agent u on u.id = t.user_agent where t.link = 1 group by 1`;
  expect(rows.filter(({ times }) => times !== 1)).toEqual([]);
  const counted = new Set(rows.map(({ name }) => name));
  expect([...clicks.answered].filter((name) => !counted.has(name))).toEqual([]);
  const surplus = [...counted].filter((name) => !clicks.answered.has(name));
  expect(surplus.filter((name) => !clicks.unknown.has(name))).toEqual([]);
  const [sums] = await db.sql<{ clicks: number }[]>`
    select clicks::int from delivery_reactions where delivery_id = ${id} and who = 0`;
  expect(sums?.clicks).toBe(rows.length + 1);
  expect(await db.sql`select * from tracking_damaged`).toHaveLength(0);
  expect((await db.sql`select log from tracking_source`).length).toBe(1);
});
