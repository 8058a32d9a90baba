/**
 * The module stat: the statistics server, listening. What it is made of is made anew for each reign (server/parts.ts): the engine with the
 * rules in force, the governor with the suspensions of the database, statistics, and the answers to questions.
 *
 * Rules and settings are read at the start, when it is told to (reload.ts), when it begins to listen for that, again after its connection was
 * lost, and when it takes the lead: so it does not matter whether a server that stands by has heard everything.
 */
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import type { Clock, Timer } from "../base/clock.ts";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../config/settings.ts";
import { loadStatSecret } from "../config/stat-secret.ts";
import type { StatSettings } from "../config/stat-settings.ts";
import { recordMeasure } from "../db/measures.ts";
import { forgetPathStatistics, readPathStatistics, writePathStatistics } from "../db/path-statistics.ts";
import { CHANNELS, type Sql } from "../db/sql.ts";
import { activeSuspensions } from "../db/traffic-holds.ts";
import type { ReloadAnswer } from "../quota/answers.ts";
import { drawNonce } from "../quota/handshake.ts";
import { openEngine } from "./engine.ts";
import { createGovernor, type TrafficGovernor } from "./governor.ts";
import { openQueries } from "./queries.ts";
import { openReloading } from "./reload.ts";
import { openStatServer, SILENCE_MS, type StatServer } from "./server.ts";
import { inTurn } from "./server/in-turn.ts";
import type { ServerTls } from "./server/listener.ts";
import type { Parts } from "./server/parts.ts";
import { openRuleBook, type Read } from "./server/rule-book.ts";
import { openStatistics, type Statistics } from "./statistics.ts";

export interface StatContext {
  readonly settings: Settings;
  /** The settings as they stand in their file now. Faults SETTINGS_*. */
  readonly readSettings: () => Settings;
  readonly log: Log;
  readonly sql: Sql;
  readonly clock: Clock;
  /** How long who falls silent is waited for, and its last attempts after its horizon. Default: SILENCE_MS, ENDING_MS. */
  readonly patience?: { readonly silenceMs: number; readonly endingMs: number };
}

export interface RunningStat {
  readonly port: number;
  readonly server: StatServer;
  /** Reads rules and settings again and has the other servers do so, as SIGHUP and the query `reload` do. Faults RULES_INVALID, SETTINGS_*: those in force stay. */
  reload(): Promise<ReloadAnswer>;
  drain(): Promise<void>;
}

/** Suspensions are read again this often, though every change is told: a connection may be dead without anybody knowing. */
const LOOK_MS = 30_000;

/** Faults: PORT_TAKEN, KEY_UNREADABLE, RULES_INVALID. */
export async function start({ settings, readSettings, log, sql, clock, patience }: StatContext): Promise<RunningStat> {
  const { stat } = settings;
  const book = openRuleBook(settings, readSettings, log);
  const history = inTurn((err) => log.warn({ err }, "a measure could not be written to the history"));
  /** What the reign of the moment is made of; null while another server leads. */
  let ruling: { readonly governor: TrafficGovernor; readonly parts: Parts; readonly now: () => number } | null = null;
  let statistics: Statistics | null = null;
  let closed = Promise.resolve();

  async function open(now: () => number): Promise<Parts> {
    readUnasked();
    const suspensions = await activeSuspensions(sql);
    const own = await openStatistics({
      clock: { ...clock, now },
      log,
      writeRows: (rows) => writePathStatistics(sql, rows),
      readRows: (since, limit) => readPathStatistics(sql, since, limit),
      forgetRows: (before, limit) => forgetPathStatistics(sql, before, limit),
    });
    const governor = createGovernor({
      replyRules: book.replies,
      settings: book.settings,
      record: (measure, ended) =>
        history.add(() => recordMeasure(sql, { ...measure, endedAt: ended ? measure.until : 0 })),
    });
    const engine = openEngine({
      governor,
      rules: book.mx,
      horizonMs: stat.horizonMs,
      silenceMs: SILENCE_MS,
      ...patience,
    });
    const queries = openQueries({
      engine,
      governor,
      statistics: own,
      rules: () => book.mx,
      reload: () => reloading.order(),
    });
    const parts: Parts = {
      engine,
      governor,
      begun() {
        // After what was in force last is known again: one that was resumed while nobody led comes back over its ramp.
        governor.setSuspensions(suspensions, now());
        ruling = { governor, parts, now };
        statistics = own;
      },
      joined: queries.joined,
      left: queries.left,
      lanes: queries.lanes,
      observe: (_member, paths, replies, at) => own.observe(paths, replies, at),
      queries: queries.answer,
      close() {
        if (ruling?.parts === parts) ruling = null;
        if (statistics === own) statistics = null;
        closed = Promise.all([closed, own.close()]).then(() => {});
      },
    };
    return parts;
  }

  /** Throws what is wrong, which is in the log then; what was in force stays. */
  function read(): Read {
    let read: Read;
    try {
      read = book.read();
    } catch (err) {
      log.error({ err }, "rules and settings stay as they were: what was read is not valid");
      throw err;
    }
    if (ruling !== null && read.changed) {
      const { parts, governor, now } = ruling;
      governor.setReplyRules(book.replies, now());
      governor.setSettings(book.settings, now());
      parts.engine.setRules(book.mx, now());
      server.changed();
    }
    return read;
  }

  /** Whoever is not told the result finds it in the log. */
  function readUnasked(): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
    }
  }

  const looks = inTurn((err) => log.warn({ err }, "suspensions cannot be read; those known stay in force"));
  const look = (): void =>
    looks.add(async () => {
      const before = ruling;
      if (before === null) return;
      const suspensions = await activeSuspensions(sql);
      if (ruling !== before) return;
      before.governor.setSuspensions(suspensions, before.now());
      server.changed();
    });

  const server = await openStatServer({
    host: stat.host,
    port: stat.port,
    address: addressOf(stat),
    tls: tlsOf(stat),
    secret: loadStatSecret(settings, log),
    sql,
    leaderMs: stat.leaderMs,
    snapshotMs: stat.snapshotMs,
    silenceMs: patience?.silenceMs ?? SILENCE_MS,
    clock,
    random: Math.random,
    log,
    open,
  });
  const reloading = openReloading({
    server: server.address,
    process: drawNonce(),
    read,
    tell: (payload) => sql.notify(CHANNELS.reload, payload),
    others: Math.max(0, stat.addresses.length - 1),
    clock,
    log,
  });
  let draining = false;
  // The driver may call both after `unlisten`, when it has connected anew in between.
  const hearing = await sql.listen(
    CHANNELS.reload,
    (payload) => draining || reloading.heard(payload),
    () => draining || readUnasked(),
  );
  const listening = await sql.listen(
    CHANNELS.traffic,
    (payload) => (payload === "leader" ? server.nudge() : look()),
    () => {
      look();
      server.nudge();
    },
  );
  let again: Timer | null = null;
  const plan = (): void => {
    again = clock.after(LOOK_MS, () => {
      look();
      plan();
    });
  };
  plan();
  const onHup = (): void => {
    reloading.order().then(
      ({ others, silent }) => log.info({ others, silent }, "rules and settings were read again at SIGHUP"),
      (error: unknown) => {
        // It is in the log; whoever sent the signal has no other way to be told.
        if (!(error instanceof Fault)) throw error;
      },
    );
  };
  process.on("SIGHUP", onHup);
  log.info({ host: stat.host, port: server.port, tls: stat.tls.certFile !== "" }, "the statistics server listens");

  return {
    port: server.port,
    server,
    reload: () => reloading.order(),
    async drain() {
      draining = true;
      process.off("SIGHUP", onHup);
      again?.cancel();
      await Promise.allSettled([listening.unlisten(), hearing.unlisten()]);
      await server.close();
      await Promise.allSettled([closed, history.done(), looks.done()]);
    },
  };
}

/** What stands in the table of leaders and is told to clients; '' for the address it listens on. */
function addressOf({ host, port }: StatSettings): string {
  if (port === 0 || (host !== "0.0.0.0" && host !== "::" && host !== "")) return "";
  return `${hostname()}:${port}`;
}

function tlsOf({ tls: { certFile, keyFile } }: StatSettings): ServerTls | null {
  if (certFile === "") return null;
  const read = (file: string, name: string): string => {
    try {
      return readFileSync(file, "utf8");
    } catch (error) {
      throw new Fault("KEY_UNREADABLE", `${file} (stat.tls.${name}): ${(error as Error).message}`, error);
    }
  };
  return { cert: read(certFile, "certFile"), key: read(keyFile || certFile, "keyFile") };
}
