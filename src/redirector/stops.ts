/**
 * The list of stopped links (model/stops.ts): asked for at web every so often, kept on disk, and never needed. Web away, a list that does not verify or is older
 * than the one there is: the last one stays.
 */
import { existsSync, readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import type { Clock, Timer } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { HttpClient } from "../http/client.ts";
import { openStops, type Stops, type StopsList, verifyStops } from "../model/stops.ts";
import type { TokenKeyRing } from "../model/token.ts";

export interface KeptStops {
  readonly current: Stops;
  /** When web answered with a list last, epoch ms; 0: not since this process began. */
  readonly heardAt: number;
  /** Asks now. Never rejects. */
  pull(): Promise<void>;
  close(): Promise<void>;
}

export interface KeptStopsOptions {
  /** Where it is kept. */
  readonly file: string;
  readonly everyMs: number;
  /** Base address of web. */
  readonly web: string;
  readonly secret: Buffer;
  readonly keys: () => TokenKeyRing;
  readonly http: HttpClient;
  readonly clock: Clock;
  readonly log: Log;
}

const ASK_MS = 10_000;
const MOST_BYTES = 32 * 1024 * 1024;
/** How far the clocks of two machines may be apart. */
const AHEAD_MS = 10 * 60_000;

export function openKeptStops(options: KeptStopsOptions): KeptStops {
  const { file, clock, log } = options;
  let current = openStops(readKept(options));
  /** The stops of the list that holds, as web wrote them: it signs the same ones anew each time. */
  let known = "";
  let closed = false;
  let heardAt = 0;
  let silent = false;
  let pulling: Promise<void> | null = null;
  let timer: Timer = clock.after(0, again);

  function again(): void {
    void pull().then(() => {
      if (!closed) timer = clock.after(options.everyMs, again);
    });
  }

  function pull(): Promise<void> {
    return (pulling ??= ask().finally(() => (pulling = null)));
  }

  async function ask(): Promise<void> {
    const answer = await options.http.ask({
      url: `${options.web}/v1/tracking/stops`,
      headers: { authorization: `Bearer ${options.secret.toString("utf8")}`, accept: "application/json" },
      mostBytes: MOST_BYTES,
      timeoutMs: ASK_MS,
    });
    if (answer.kind !== "answer" || answer.status !== 200)
      return complain(answer.kind === "answer" ? `status ${answer.status}` : answer.text);
    const text = answer.body.toString("utf8");
    const stops = text.slice(text.indexOf('"stops"'), text.lastIndexOf('"mac"'));
    // Nothing to adopt, so nothing to verify: a list of megabytes would take a tenth of a second each time.
    if (stops === known && known !== "") return heard();
    const list = verifyStops(options.keys(), text);
    if (typeof list === "string") return complain(`a list that is ${list}`);
    if (list.at < current.at && !isAhead(current.at)) return complain("a list that is older than the one there is");
    heard();
    known = stops;
    current = openStops(list);
    log.info({ stops: current.count }, "the list of stopped links is new");
    await keep(file, text).catch((err: unknown) => log.warn({ err }, "the list of stopped links is not kept on disk"));
  }

  /** Made by a clock that was wrong: it is not to outlast all that are made by the right one. */
  function isAhead(at: number): boolean {
    if (at <= clock.now() + AHEAD_MS) return false;
    log.warn({ at: new Date(at).toISOString() }, "the list of stopped links there is was made in the future");
    return true;
  }

  function heard(): void {
    heardAt = clock.now();
    if (silent) log.info({}, "web tells which links are stopped again");
    silent = false;
  }

  function complain(why: string): void {
    if (!silent) log.warn({ why, stops: current.count }, "web gives no list of stopped links; the last one holds");
    silent = true;
  }

  return {
    get current() {
      return current;
    },
    get heardAt() {
      return heardAt;
    },
    pull,
    async close() {
      closed = true;
      timer.cancel();
      await pulling;
    },
  };
}

const NONE: StopsList = { at: 0, stops: [] };

function readKept({ file, keys, log }: KeptStopsOptions): StopsList {
  try {
    if (!existsSync(file)) return NONE;
    const list = verifyStops(keys(), readFileSync(file, "utf8"));
    if (typeof list !== "string") return list;
    log.warn({ file, why: list }, "the list of stopped links on disk is not used");
  } catch (err) {
    log.warn({ file, err }, "the list of stopped links on disk cannot be read");
  }
  return NONE;
}

async function keep(file: string, text: string): Promise<void> {
  const handle = await open(`${file}.new`, "w", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}
