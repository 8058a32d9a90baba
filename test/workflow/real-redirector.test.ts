/** A real redirection server, a real database and real workflow processes: clicks made are clicks counted, whoever is killed meanwhile. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { findSuppression } from "../../src/db/suppressions.ts";
import { reactionsOf, trackingSources } from "../../src/db/tracking-reports.ts";
import { expired } from "../support/certificates.ts";
import { openTestDatabase, type TestDatabase } from "../support/database.ts";
import type { TestDelivery } from "../support/ledger.ts";
import { link, openTestRedirector, SECRET, type TestRedirector, token } from "../support/redirector.ts";
import { keptSums, reckonedSums, sentDelivery } from "../support/tracking.ts";
import { until } from "../support/until.ts";
import { openWorkflowProcess, type WorkflowProcess } from "../support/workflow-process.ts";

const BROWSER = { "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" };
let db: TestDatabase;
let d: TestDelivery;
let redirector: TestRedirector;
const running = new Set<WorkflowProcess>();
beforeAll(async () => {
  db = await openTestDatabase();
});
afterAll(() => db.close());
beforeEach(async () => {
  d = await sentDelivery(db.sql, 500, { sentAt: Date.now() - 3_600_000 });
  redirector = await openTestRedirector();
});
afterEach(async () => {
  for (const process of running) await process.kill();
  running.clear();
  await redirector.close();
});

async function workflow(machine: string, settings: object = {}): Promise<WorkflowProcess> {
  const opened = await openWorkflowProcess({
    machine,
    databaseUrl: db.url,
    redirectors: [redirector.url],
    secret: SECRET,
    workflow: { leaderMs: 1000, pullWaitMs: 2000, ...settings },
  });
  running.add(opened);
  return opened;
}

async function click(n: number): Promise<void> {
  const url = link({ kind: "click", delivery: d.id, number: 1, url: `https://shop.example/${n}` });
  const answer = await redirector.ask(`/r/${token(d.firstId + n)}/${url}`, { headers: BROWSER });
  expect(answer).toMatchObject({ status: 302, headers: { location: `https://shop.example/${n}` } });
}
const clicked = async (): Promise<number> => (await reactionsOf(db.sql, d.id))?.all.totalRecipientClick ?? 0;

test("who unsubscribes gets no mail any more, at once; the message says so", async () => {
  await workflow("a");
  const answer = await redirector.ask(`/u/${token(d.firstId + 3)}`, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: "List-Unsubscribe=One-Click",
  });
  expect(answer.status).toBe(200);
  const found = await until(() => findSuppression(db.sql, "r3@example.com"));
  expect(found).toMatchObject({ reason: "unsubscribed", source: "one-click" });
});

test("kill -9 again and again: what was clicked is what is counted", { timeout: 120_000 }, async () => {
  let current = await workflow("a", { pullRecords: 20 });
  let made = 0;
  for (let round = 0; round < 4; round++) {
    await Promise.all(Array.from({ length: 60 }, (_, i) => click(made + i)));
    made += 60;
    const least = made - 40;
    await until(async () => (await clicked()) >= least, { what: "some to be counted" });
    running.delete(current);
    await current.kill();
    current = await workflow(`m${round}`, { pullRecords: 20 });
    if (round === 1) await redirector.restart();
  }
  await until(async () => (await clicked()) === made, { what: "all to be counted" });
  expect(await keptSums(db.sql)).toEqual(await reckonedSums(db.sql));
  const [row] = await db.sql<{ rows: number; messages: number }[]>`
    select count(*)::int as rows, count(distinct message_id)::int as messages from tracking where delivery_id = ${d.id}`;
  expect(row).toEqual({ rows: made, messages: made });
  running.delete(current);
  expect(await current.stop()).toBe(0);
});

test("a server of the same machine is pulled whatever names its certificate is for", async () => {
  const folder = mkdtempSync(join(tmpdir(), "postilion-own-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const pair = { certFile: join(folder, "crt"), keyFile: join(folder, "key") };
  writeFileSync(pair.certFile, expired.cert);
  writeFileSync(pair.keyFile, expired.key, { mode: 0o600 });
  const own = await openTestRedirector({ settings: { tls: [pair] } });
  onTestFinished(() => own.close());
  running.add(
    await openWorkflowProcess({
      machine: "a",
      databaseUrl: db.url,
      redirectors: [],
      secret: SECRET,
      workflow: { leaderMs: 1000, pullWaitMs: 500 },
      url: "https://mx1.good.test",
      redirector: { port: own.port, tls: [pair] },
    }),
  );
  const address = `https://127.0.0.1:${own.port}`;
  const source = await until(async () => (await trackingSources(db.sql)).find((each) => each.address === address));
  expect(source).toMatchObject({ trouble: "", host: "test" });
});
