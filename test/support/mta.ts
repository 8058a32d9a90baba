/**
 * A whole mta in the test's own process, on a test database: real claims, journal, lanes, sessions and records. What may be replaced:
 * the render pool (default: a plain one without threads), the resolver, the settings.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLog } from "../../src/base/log.ts";
import { systemClock } from "../../src/base/clock.ts";
import { parseSettings } from "../../src/config/settings.ts";
import type { Sql } from "../../src/db/sql.ts";
import { bootId, openJournal } from "../../src/mta/journal.ts";
import { type Mta, type MtaDeps, openMta } from "../../src/mta/mta.ts";
import { recover } from "../../src/mta/recover.ts";
import type { Resolver } from "../../src/mta/resolver.ts";
import { openSession } from "../../src/mta/session.ts";
import { openTlsMemory } from "../../src/mta/session/tls-memory.ts";
import type { RenderPool } from "../../src/render/pool.ts";
import { shippedBounces } from "./bounce-rules.ts";
import { openPlainTraffic, type PlainRule, type PlainTraffic } from "./plain-traffic.ts";

export interface TestMta {
  readonly mta: Mta;
  readonly traffic: PlainTraffic;
  close(): Promise<void>;
}

export interface TestMtaOptions {
  readonly sql: Sql;
  /** Port of every exchanger; they are at 127.0.0.1 unless `resolver` says otherwise. */
  readonly port: number;
  readonly owner?: string;
  readonly folder?: string;
  /** Stands in for write(2) of the journal: a disk that fills up. */
  readonly journalWrite?: (fd: number, text: string) => void;
  /** Of the section `mta`. */
  readonly settings?: Record<string, unknown>;
  /** What the quota allows (plain-traffic.ts). */
  readonly rules?: readonly PlainRule[];
  readonly deps?: Partial<MtaDeps>;
  /** How long `close` waits for the database; default as in life. */
  readonly recordMs?: number;
}

/** Every domain has the one exchanger mx.<domain> at 127.0.0.1. */
export const loopbackResolver: Resolver = {
  route: (domain) =>
    Promise.resolve({ kind: "site", site: `mx.${domain}`, exchangers: [{ name: `mx.${domain}`, preference: 10 }] }),
  addresses: () => Promise.resolve(["127.0.0.1"]),
  order: (route) => [...route.exchangers],
} as Resolver;

/** Renders `Subject: <id>` and nothing else, at once. */
export const plainPool: RenderPool = {
  threads: 2,
  queued: 0,
  running: 0,
  messageMs: 0.1,
  render: (_content: unknown, _keys: unknown, jobs: readonly { id: number; variables: string }[]) =>
    Promise.resolve(
      jobs.map(({ id, variables }) =>
        variables.includes("unrenderable")
          ? { id, error: "subject: broken" }
          : {
              id,
              error: "" as const,
              from: `b+${id}@bounces.sender.example`,
              bytes: Buffer.from(`Subject: ${id}\r\nMessage-ID: <${id}@test>\r\n\r\nHello\r\n`),
              smtputf8: false,
            },
      ),
    ),
  close: () => Promise.resolve(),
} as unknown as RenderPool;

export async function openTestMta(options: TestMtaOptions): Promise<TestMta> {
  const { sql, port } = options;
  const owner = options.owner ?? "test/0";
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "postilion-mta-"));
  const { smtp, ...rest } = (options.settings ?? {}) as { smtp?: object };
  const { mta: settings } = parseSettings({
    mta: { partSize: 100, smtp: { port, privateAddresses: true, ...smtp }, ...rest },
  });
  const {
    journal,
    rest: left,
    forget,
  } = openJournal({
    folder: join(folder, "journal"),
    owner,
    boot: bootId(),
    sync: false,
    log: silentLog,
    ...(options.journalWrite && { write: options.journalWrite }),
  });
  await recover(
    { sql, owner, clock: systemClock, random: Math.random, judge: shippedBounces().judge, log: silentLog },
    left,
  );
  forget();
  const traffic = openPlainTraffic(options.rules ?? [], systemClock);
  const tlsMemory = openTlsMemory(systemClock);
  const mta = await openMta({
    settings,
    owner,
    helo: "mta.test",
    sql,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    journal,
    traffic,
    resolver: loopbackResolver,
    policies: null,
    pool: plainPool,
    judge: shippedBounces().judge,
    keys: () => ({ version: 1, token: [], dkim: [] }),
    openSession: (target, smtp, events) => openSession({ clock: systemClock, tlsMemory }, target, smtp, events),
    ...options.deps,
  });
  return {
    mta,
    traffic,
    async close() {
      await mta.drain(2000, options.recordMs);
      traffic.close();
      journal.close();
      if (options.folder === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}
