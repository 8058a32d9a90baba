/** Web, a real statistics server over TCP and a real quota client: what holds a message is told, what is suspended over the API holds. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { statPlace } from "../../src/config/stat-place.ts";
import { loadStatSecret } from "../../src/config/stat-secret.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { outcome } from "../../src/model/outcome.ts";
import type { LaneKey } from "../../src/model/traffic.ts";
import { openQuotaClient } from "../../src/quota/client.ts";
import { askStat } from "../../src/quota/link/ask.ts";
import { openTcpLink } from "../../src/quota/link.ts";
import { start } from "../../src/stat/start.ts";
import { openTestApi } from "../support/api.ts";
import { until } from "../support/until.ts";

const dataDir = mkdtempSync(join(tmpdir(), "postilion-real-stat-"));
afterAll(() => rmSync(dataDir, { recursive: true, force: true }));
const rule = { id: "narrow", mx: "*.a.example", scope: "ip" as const, connections: 1 };
const settings = parseSettings({ dataDir, stat: { port: 0, snapshotMs: 100, rules: [rule] } });
let port = 0;
const api = await openTestApi(
  {},
  {
    askStat: (what, args) =>
      askStat(
        { ...statPlace({ ...settings.stat, port }), secret: loadStatSecret(settings), clock: systemClock, name: "web" },
        what,
        args,
        2_000,
      ),
    exchangers: async () => ({ kind: "names", names: ["mx.a.example"] }),
  },
);

const LANE: LaneKey = { site: "mx.a.example", mx: "mx.a.example", publicId: 0, localAddress: "" };
const EXCHANGER = { mx: "mx.a.example", ip: "192.0.2.1" };

test("one connection, two who want it; suspended and resumed; the server gone", { timeout: 60_000 }, async () => {
  const stat = await start({
    settings,
    readSettings: () => settings,
    log: silentLog,
    sql: api.db.sql,
    clock: systemClock,
  });
  ({ port } = stat);
  const { secret, tls } = { ...statPlace(settings.stat), secret: loadStatSecret(settings) };
  const link = openTcpLink({
    addresses: [`127.0.0.1:${port}`],
    secret,
    member: "m1/0",
    tls,
    clock: systemClock,
    log: silentLog,
  });
  const client = openQuotaClient({ clock: systemClock, link });
  const stop = new AbortController();
  const first = (await client.connection(LANE, [EXCHANGER], false, stop.signal))!;
  expect(first.limits.rule).toBe("narrow");
  const second = client.connection(LANE, [EXCHANGER], false, stop.signal);
  client.observe(
    { ...EXCHANGER, publicId: 0 },
    outcome("deferred", "dot", {
      code: 451,
      enhanced: "4.7.1",
      text: "slow down\u001b[2J",
      mx: "mx.a.example",
      remoteIp: "192.0.2.1",
      latencyMs: 40,
    }),
    1000,
  );
  client.tellLanes([{ ...LANE, waiting: 9, inFlight: 1, sessions: 1, hold: null }]);

  const sent = await api.post("/v1/messages", { to: "ann@a.example", from: "s@example.com", subject: "s", text: "t" });
  const { id } = sent.body as { id: number };
  await api.db.sql`update part set owner = 'm1/0', lease_until = now() + interval '1 hour'`;
  await api.db.sql`insert into mta (owner, identity, seen_at) values ('m1/0', 'x', now() + interval '1 hour')`;
  const why = async () => (await api.get(`/v1/messages/${id}/why`)).body;

  await until(async () => (await why())["hold"]?.kind === "connections", {
    timeoutMs: 20_000,
    what: "the connection limit",
  });
  expect(await why()).toMatchObject({
    state: "waiting",
    hold: { by: "rule narrow" },
    site: { waiting: 9, sessions: 1 },
  });
  await until(async () => (await api.get("/v1/sites/mx.a.example")).body["hour"]?.attempts === 1, {
    timeoutMs: 20_000,
  });
  const site = await api.get("/v1/sites/mx.a.example");
  expect(site.body).toMatchObject({
    paths: [{ ip: "192.0.2.1", hour: { attempts: 1, deferred: 1, errors: 1 }, lastReply: "451 4.7.1 slow down [2J" }],
    limits: [{ rule: "narrow", limits: { connections: 1 } }],
    lanes: [{ member: "m1/0" }],
  });

  const made = await api.post("/v1/traffic/suspensions", { site: "mx.a.*", reason: "complaints" });
  await until(async () => (await why())["hold"]?.kind === "suspension", { timeoutMs: 20_000, what: "the suspension" });
  expect((await why())["hold"]).toMatchObject({
    by: expect.stringContaining("test"),
    text: expect.stringContaining("complaints"),
  });
  expect((await api.get("/v1/sites?state=held")).body["sites"]).toMatchObject([
    { site: "mx.a.example", state: "held" },
  ]);
  await api.call("DELETE", `/v1/traffic/suspensions/${made.body["id"]}`);
  await until(async () => (await why())["hold"]?.kind !== "suspension", { timeoutMs: 20_000, what: "the resumption" });

  stop.abort();
  expect(await second).toBeNull();
  first.close();
  client.close();
  await stat.drain();
  await until(async () => (await api.get(`/v1/messages/${id}/why`)).status === 503, { timeoutMs: 20_000 });
  const away = await api.get("/v1/sites");
  // Written when it went: what it had counted outlives it.
  expect(away).toMatchObject({
    status: 503,
    body: { known: { sites: [{ site: "mx.a.example", attempts: 1, lastReply: "451 4.7.1 slow down [2J" }] } },
  });
});
