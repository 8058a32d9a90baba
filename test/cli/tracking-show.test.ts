/** `postilion tracking show`: what it says when things are away, and that a monitor can believe its exit code. */
import { afterAll, beforeEach, expect, test } from "vitest";
import { isWell, type TrackingState, trackingState, trackingText } from "../../src/cli/tracking-show.ts";
import type { TrackingSource } from "../../src/db/tracking-reports.ts";
import { openTestDatabase } from "../support/database.ts";

const db = await openTestDatabase();
const { sql } = db;
afterAll(() => db.close());
beforeEach(async () => void (await sql`truncate tracking_leader, tracking_redirector, tracking_source`));

const NOW = Date.parse("2026-05-03T12:00:00Z");
const ONE = "https://t1.example.com";
const lead = { ours: false, server: "m1/0", epoch: 3, now: NOW, leftMs: 8_000 };
const source = (more: Partial<TrackingSource> = {}): TrackingSource => ({
  address: ONE,
  host: "t1",
  answeredAt: new Date(NOW - 12_000),
  trouble: "",
  since: new Date(NOW - 3_600_000),
  log: "aa",
  position: 4711,
  records: 42,
  damaged: 0,
  missing: 0,
  lost: 0,
  newestAt: new Date(NOW - 200_000),
  ...more,
});
const state = (more: Partial<TrackingState> = {}): TrackingState => ({
  now: NOW,
  leader: lead,
  wanted: [ONE],
  sources: [source()],
  ...more,
});

test("all is well: who reads, how far, how long ago", () => {
  const text = trackingText(state());
  expect(text).toMatch(/^2026-05-03 12:00:00 UTC {3}read by m1\/0\n/);
  expect(text).toMatch(/https:\/\/t1\.example\.com +t1 +12 s ago +3 min ago +42 +0 +0 +0 +4711 +answers$/m);
  expect(text).not.toContain("damaged:");
  expect(isWell(state())).toBe(true);
});

test.each<[string, Partial<TrackingState>, RegExp, boolean]>([
  ["nobody ever read", { leader: null }, /no machine has ever run the workflow/, false],
  [
    "the reader is gone",
    { leader: { ...lead, leftMs: -90_000 } },
    /read by nobody: the lease of m1\/0 ended 1 min ago/,
    false,
  ],
  [
    "a server is away",
    { sources: [source({ trouble: "network: \u001b[2Jconnect\nECONNREFUSED" })] },
    /away since 2026-05-03 11:00:00 UTC: network: \[2Jconnect ECONNREFUSED$/m,
    false,
  ],
  ["a server has never answered", { sources: [source({ answeredAt: null, newestAt: null })] }, / never +never /, false],
  ["a server was never asked", { sources: [] }, /t1\.example\.com +- +never .*never asked yet/, false],
  [
    "a server of the past is away: that is no trouble",
    { sources: [source(), source({ address: "http://old.example", trouble: "late: no answer" })] },
    /old\.example.*not in the settings of this machine/,
    true,
  ],
  [
    "hits were lost",
    { sources: [source({ lost: 7, damaged: 1, missing: 30 })] },
    /lost: hits the server answered/,
    true,
  ],
  ["nothing is tracked", { wanted: [], sources: [], leader: null }, /No redirection server/, true],
])("%s", (_, more, text, well) => {
  expect(trackingText(state(more))).toMatch(text);
  expect(isWell(state(more))).toBe(well);
});

test("from the database", async () => {
  expect(await trackingState(sql, [])).toMatchObject({ leader: null, sources: [] });
  await sql`insert into tracking_leader values (1, 'm1/0', 1, now() + interval '5 s')`;
  await sql`insert into tracking_redirector (address, log, host, answered_at) values (${ONE}, 'aa', 't1', now())`;
  await sql`insert into tracking_source (log, address, position, records, lost) values ('aa', ${ONE}, 10, 3, 2)`;
  const read = await trackingState(sql, [ONE]);
  expect(read).toMatchObject({
    leader: { server: "m1/0" },
    sources: [{ position: 10, records: 3, lost: 2, newestAt: null }],
  });
  expect(isWell(read)).toBe(true);
  expect(trackingText(read)).toContain("answers");
});
