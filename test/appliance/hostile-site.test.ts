/**
 * Sites that break every rule at every stage, at random by a seed, and take or refuse each message in the end. Whatever they do, each
 * recipient ends as its server decided, and what the ledger says was taken is what they took.
 */
import { expect, test } from "vitest";
import { openTestDatabase } from "../support/database.ts";
import { openHostileSite } from "../support/hostile-site.ts";
import { putDelivery } from "../support/ledger.ts";
import { loopbackResolver, openTestMta, plainPool } from "../support/mta.ts";
import { EXACT, judge, stateOf } from "../support/oracle.ts";
import { until } from "../support/until.ts";

const SITES = 12;
const EACH = 20;
const SMTP = { bannerMs: 900, ehloMs: 900, mailMs: 900, rcptMs: 900, dataMs: 900, blockMs: 900, dotMs: 900 };

/** Every seventh message is long enough to be answered before its end. */
const pool = {
  ...plainPool,
  render: async (...[content, keys, jobs]: Parameters<typeof plainPool.render>) =>
    (await plainPool.render(content, keys, jobs)).map((made) =>
      "from" in made && made.id % 7 === 0
        ? { ...made, bytes: Buffer.concat([made.bytes, Buffer.from(`${"x".repeat(70)}\r\n`.repeat(4000))]) }
        : made,
    ),
};

test.concurrent.for([1, 2, 3])(
  "seed %i: each recipient ends as its server decided",
  { timeout: 120_000 },
  async (seed, { onTestFinished }) => {
    const db = await openTestDatabase();
    onTestFinished(() => db.close());
    const addresses = Array.from({ length: SITES }, (_, i) => `127.0.${seed}.${i + 1}`);
    const refuses = (recipient: string): boolean => /^p\d*[37]@/.test(recipient);
    const site = await openHostileSite({ seed, addresses, refuses });
    onTestFinished(() => site.close());
    const recipients = Array.from({ length: SITES * EACH }, (_, i) => `p${i}@s${i % SITES}.seed${seed}.example`);
    const { id } = await putDelivery(db.sql, { addresses: recipients, partSize: 40, retry: [1] });
    const resolver = {
      ...loopbackResolver,
      addresses: (name: string) => Promise.resolve([addresses[Number(/^mx\.s(\d+)/.exec(name)![1])]!]),
    };
    const mta = await openTestMta({
      sql: db.sql,
      port: site.port,
      owner: `test/${seed}`,
      settings: { smtp: SMTP },
      deps: { pool, resolver },
    });
    onTestFinished(() => mta.close());
    await until(async () => (await stateOf(db.sql, id)) === "finished", {
      what: "all to be decided",
      timeoutMs: 90_000,
    });
    const verdict = await judge(db.sql, id, site.taken);
    expect(verdict.judgement).toEqual(EXACT);
    const failed = await db.sql<
      { address: string }[]
    >`select address from message where delivery_id = ${id} and status = 3`;
    expect(failed.filter(({ address }) => !refuses(address) || !site.refused.has(address))).toEqual([]);
    expect(verdict.rows).toEqual([0, 0, recipients.length - failed.length, failed.length, 0, 0, 0, 0]);
    expect(failed.length).toBeGreaterThan(20);
    // Nearly all kinds were tried: 12 before a session and 31 after.
    expect(site.committed.size).toBeGreaterThan(36);
  },
);
