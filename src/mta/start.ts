/**
 * The mta process: brings the real things (database, journal, resolver, threads, sockets) and takes up what its last process left before it
 * claims anything new.
 */
import { availableParallelism, hostname } from "node:os";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { openBounceRules } from "../config/bounce-rules-file.ts";
import { loadDkimKeys, loadTokenKeys, rereadTokenKeys } from "../config/keys.ts";
import type { Settings } from "../config/settings.ts";
import type { Sql } from "../db/sql.ts";
import type { Traffic } from "../model/traffic.ts";
import { openRenderPool } from "../render/pool.ts";
import { identityOf } from "./identity.ts";
import { bootId, openJournal } from "./journal.ts";
import { openKeys } from "./keys.ts";
import { openMta } from "./mta.ts";
import { openOwnership } from "./ownership.ts";
import { recover } from "./recover.ts";
import { relayResolver } from "./relay.ts";
import { openResolver } from "./resolver.ts";
import { openSession, type SessionDeps } from "./session.ts";
import { openTlsMemory } from "./session/tls-memory.ts";
import { openTlsPolicies } from "./tls-policy.ts";
import { openTraffic } from "./traffic.ts";
import { openVerifySession } from "./verify.ts";

export interface MtaContext {
  readonly settings: Settings;
  readonly log: Log;
  readonly sql: Sql;
  readonly clock: Clock;
  readonly slot: number;
  /** Aborts when the process is told to stop. */
  readonly signal: AbortSignal;
  /** Instead of the statistics servers of the settings. */
  readonly traffic?: Traffic;
}

/** Less than the watchdog's patience: what is cut here is recorded as in doubt, what is killed there is found in the journal. */
const DRAIN_MS = 20_000;

export async function start({
  settings,
  log,
  sql,
  clock,
  slot,
  signal,
  traffic: given,
}: MtaContext): Promise<{ drain(): Promise<void> }> {
  const { mta } = settings;
  const owner = `${settings.machine || hostname()}/${slot}`;
  const folder = join(settings.dataDir, "journal", String(slot));
  const bounceRules = openBounceRules(settings, clock, log);
  const { judge } = bounceRules;
  const { journal, rest, forget } = openJournal({
    folder,
    owner,
    boot: bootId(),
    sync: mta.journalSync,
    log,
  });
  // Before anything of this name is taken up: another machine of the same name would be robbed of what it is sending.
  const ownership = await openOwnership({
    sql,
    owner,
    identity: identityOf(folder),
    leaseMs: mta.leaseMs,
    clock,
    log,
    signal,
  });
  await recover({ sql, owner, clock, random: Math.random, judge, log }, rest);
  forget();
  loadTokenKeys(settings, log);
  const keys = openKeys({
    clock,
    log,
    load: () => ({ token: rereadTokenKeys(settings, log), dkim: loadDkimKeys(settings, log) }),
  });
  const pool = openRenderPool({ threads: mta.threads === 0 ? availableParallelism() : mta.threads, log });
  const traffic = given ?? openTraffic(settings, owner, clock, log);
  const resolver = openResolver(mta.dns, clock);
  const tlsMemory = openTlsMemory(clock);
  const { port, privateAddresses } = mta.smtp;
  // A relay stands between us and the exchangers that policies speak of.
  const policies =
    mta.relay.host === "" && !mta.verifyMode
      ? openTlsPolicies({ clock, log, sql, resolver, port, privateAddresses })
      : null;
  const session: SessionDeps = { clock, tlsMemory, ...(policies !== null && { observer: policies.observer }) };
  const running = await openMta({
    settings: mta,
    owner,
    helo: mta.helo || hostname(),
    sql,
    clock,
    random: Math.random,
    log,
    journal,
    traffic,
    resolver: mta.relay.host === "" ? resolver : relayResolver(mta.relay.host, resolver),
    policies,
    pool,
    judge,
    keys: keys.current,
    openSession: (target, smtp, events) =>
      mta.verifyMode ? Promise.resolve(openVerifySession(target, events)) : openSession(session, target, smtp, events),
  });
  log.info(
    { owner, threads: pool.threads, dkimKeys: settings.dkim.length, verifyMode: mta.verifyMode },
    "mta is claiming",
  );
  return {
    async drain() {
      await running.drain(DRAIN_MS);
      keys.close();
      bounceRules.close();
      traffic.close();
      await policies?.close();
      await pool.close();
      journal.close();
      await ownership.close();
    },
  };
}
