/**
 * Reading again, by all statistics servers of a database. Whoever is told to (SIGHUP, `postilion stat reload`) reads first; when what it read is
 * valid, it tells the others over channel `reload`; each of them reads its own files and says what came of it. So a mistake here changes
 * nothing anywhere, and one elsewhere is in the answer.
 *
 * Nothing depends on a notice that arrives: a server reads whenever it begins to listen to the channel and whenever it takes the lead
 * (start.ts).
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { harmless } from "../model/harmless.ts";
import type { ReloadAnswer, ReloadedHere, ServerReload } from "../quota/answers.ts";

export interface ReloadingDeps {
  /** This server as people know it, host:port. */
  readonly server: string;
  /** Drawn when the process began: which notices are its own. */
  readonly process: string;
  /** Reads, and puts in force what it read. Throws when that is not valid; nothing has changed then. */
  readonly read: () => ReloadedHere;
  /** A notice to all servers, this one too. Rejects when it cannot be sent. */
  readonly tell: (payload: string) => Promise<unknown>;
  /** How many others there are, as far as the settings say. */
  readonly others: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Reloading {
  /** Reads here, then has the others read, and waits a moment for what they say. Rejects as `read` throws. */
  order(): Promise<ReloadAnswer>;
  /** A notice came. Never throws. */
  heard(payload: string): void;
}

/** PostgreSQL takes 8,000 octets; a character has up to four. */
const MOST_PROBLEM = 1500;
/** Less than who asks has (cli/stat-reload.ts). Reading takes some 50 ms. */
const PATIENCE_MS = 3000;
const MOST_ORDERS = 100;
/** In an answer; the log has all of them. */
const MOST_WARNINGS = 100;

type Notice =
  | { readonly t: "read"; readonly id: string; readonly by: string }
  | ({ readonly t: "done"; readonly id: string; readonly digest: string } & Omit<ServerReload, "same">);

export function openReloading(deps: ReloadingDeps): Reloading {
  const { server, process, read, tell, others, clock, log } = deps;
  /** What is waited for, by id. */
  const orders = new Map<string, (done: Extract<Notice, { t: "done" }>) => void>();
  let count = 0;

  async function order(): Promise<ReloadAnswer> {
    const here = read();
    const id = `${process}-${++count}`;
    const said: ServerReload[] = [];
    const enough = Promise.withResolvers<void>();
    if (others === 0) enough.resolve();
    if (orders.size < MOST_ORDERS)
      orders.set(id, ({ server: name, problem, digest }) => {
        said.push({ server: name, problem, same: digest === here.digest });
        if (said.length >= others) enough.resolve();
      });
    const late = Promise.withResolvers<void>();
    const timer = clock.after(PATIENCE_MS, late.resolve);
    const told = tell(text({ t: "read", id, by: server })).catch((err: unknown) => {
      log.warn({ err }, "the other statistics servers cannot be told to read their rules");
      late.resolve();
    });
    await Promise.race([Promise.all([told, enough.promise]), late.promise]);
    timer.cancel();
    orders.delete(id);
    const warnings = here.warnings.slice(0, MOST_WARNINGS).map((warning) => harmless(warning, 1000));
    return { ...here, warnings, server, others: said, silent: Math.max(0, others - said.length) };
  }

  function obey(id: string, by: string): void {
    log.info({ by }, "another statistics server has been told to read its rules; so does this one");
    let done: { problem: string; digest: string };
    try {
      done = { problem: "", digest: read().digest };
    } catch (error) {
      done = { problem: oneLine(error), digest: "" };
    }
    tell(text({ t: "done", id, server, ...done })).catch((err: unknown) =>
      log.warn({ err }, "what came of reading the rules cannot be told to the server that asked for it"),
    );
  }

  return {
    order,
    heard(payload) {
      const notice = noticeOf(payload);
      if (notice === null) return log.debug({}, "a notice that is none came over the channel of reloads");
      if (notice.t === "done") orders.get(notice.id)?.(notice);
      else if (!notice.id.startsWith(`${process}-`)) obey(notice.id, notice.by);
    },
  };
}

const text = (notice: Notice): string => JSON.stringify(notice);

/** Whoever may write to the database may send notices: nothing in them is taken as it is. */
function noticeOf(payload: string): Notice | null {
  let value: unknown;
  try {
    value = JSON.parse(payload);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const fields = value as Readonly<Record<string, unknown>>;
  const field = (name: string, most: number): string => {
    const given = Object.hasOwn(fields, name) ? fields[name] : "";
    return typeof given === "string" ? harmless(given, most) : "";
  };
  const id = field("id", 100);
  if (id === "") return null;
  if (fields["t"] === "read") return { t: "read", id, by: field("by", 255) };
  if (fields["t"] !== "done") return null;
  const [name, problem] = [field("server", 255), field("problem", MOST_PROBLEM)];
  return { t: "done", id, server: name, problem, digest: field("digest", 64) };
}

function oneLine(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split("\n").map((line) => line.trim());
  const [first = "", ...rest] = lines.filter((line) => line !== "");
  return harmless([first, rest.join("; ")].join(" "), MOST_PROBLEM);
}
