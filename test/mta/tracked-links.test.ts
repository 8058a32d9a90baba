/** What an mta sends of deliveries that are tracked: made in real render threads, taken by a real server, verified with the key that signed it. */
import { afterAll, expect, test } from "vitest";
import { openHost, POLITE } from "../../demo/internet/host.ts";
import { silentLog } from "../../src/base/log.ts";
import { verifyLink } from "../../src/model/link.ts";
import { verifyToken } from "../../src/model/token.ts";
import { openRenderPool } from "../../src/render/pool.ts";
import { openTestDatabase } from "../support/database.ts";
import { putDelivery } from "../support/ledger.ts";
import { parseMail } from "../support/mail.ts";
import { openTestMta } from "../support/mta.ts";
import { TRACKING } from "../support/tracked.ts";
import { until } from "../support/until.ts";

const key = { id: 9, secret: Buffer.alloc(32, 9) };
const db = await openTestDatabase();
const taken: { to: string; bytes: Uint8Array }[] = [];
const host = await openHost({
  name: "mx.example",
  address: "127.0.0.1",
  port: 0,
  manners: POLITE,
  certificate: null,
  accept: ({ to, bytes }) => void taken.push({ to: to[0] ?? "", bytes }),
});
const pool = openRenderPool({ threads: 1, log: silentLog });
afterAll(async () => {
  await pool.close();
  await host.close();
  await db.close();
});

test("deliveries of one content, made in the same batches, have links of their own", async () => {
  const content = {
    html: '<a href="https://x.example/">Shop</a><a href="https://x.example/{{n}}">Own</a>',
    tracking: { ...TRACKING, opens: true },
  };
  const deliveries = [];
  for (const name of ["a", "b", "c"]) {
    const addresses = Array.from({ length: 20 }, (_, i) => `${name}${i}@one.example`);
    const variables = addresses.map((_, n) => ({ n }));
    deliveries.push(await putDelivery(db.sql, { addresses, variables, content }));
  }
  const mta = await openTestMta({
    sql: db.sql,
    port: host.port,
    deps: { pool, keys: () => ({ version: 1, token: [key], dkim: [] }) },
  });
  await until(() => taken.length === 60, { what: "all messages to be taken", timeoutMs: 20_000 });
  await mta.close();
  for (const { to, bytes } of taken) {
    const delivery = deliveries["abc".indexOf(to[0] ?? "")]!;
    const n = Number(to.slice(1, to.indexOf("@")));
    const { html } = await parseMail(bytes, { skipImageLinks: true });
    const links = [...String(html).matchAll(/https:\/\/t\.example\.com\/[ro]\/([a-z2-7]+)\/([a-z2-7]+)/g)];
    expect(links.map(([, token]) => verifyToken([key], token ?? ""))).toEqual(Array(3).fill(delivery.firstId + n));
    expect(links.map(([, , link]) => verifyLink([key], link ?? ""))).toMatchObject([
      { kind: "click", delivery: delivery.id, number: 1, url: "https://x.example/" },
      { kind: "click", delivery: delivery.id, number: 2, url: `https://x.example/${n}` },
      { kind: "open", delivery: delivery.id, number: 0, url: "" },
    ]);
  }
});
