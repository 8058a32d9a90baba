/**
 * `postilion suspend|resume`: a site, an outgoing IP, or a delivery. Written to the database, which tells the statistics servers: so it needs no
 * token, works with web down and with no statistics server up (the next one obeys it), and nobody can do it who could not read the settings.
 */
import { userInfo } from "node:os";
import { systemClock } from "../base/clock.ts";
import type { Settings } from "../config/settings.ts";
import { requireSchema } from "../db/migrate.ts";
import type { Sql } from "../db/sql.ts";
import { changeState } from "../db/states.ts";
import { activeSuspensions, addSuspension, endSuspension, type StoredSuspension } from "../db/traffic-holds.ts";
import { harmless } from "../model/harmless.ts";
import { siteProblem } from "../model/suspension.ts";
import { stamp } from "../model/why-text.ts";
import { domainProblem, openExchangers } from "../web/why/exchangers.ts";
import { withDatabase } from "./database.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage.ts";

export interface SuspendOptions {
  readonly publicId?: string;
  readonly delivery?: string;
  readonly reason?: string;
  /** `90m`, `2h`, `3d`. */
  readonly for?: string;
}

const MOST_REASON = 500;
const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Suspends, or prints what is suspended when nothing is named. Faults: SETTINGS_*, DATABASE_*. */
export async function suspend(
  config: string | undefined,
  site: string | undefined,
  options: SuspendOptions,
): Promise<void> {
  await withDatabase(config, async (sql, settings) => {
    await requireSchema(sql);
    const problem = await domainProblem(openExchangers(settings.mta, systemClock), site ?? "");
    if (problem !== "") throw new UsageError(`${harmless(site ?? "", 255)} ${problem}`);
    console.log(await suspendText(sql, operatorOf(settings), site ?? "", options, Date.now()));
    const { publicId } = options;
    if (publicId !== undefined && !hasPublicId(settings, Number(publicId)))
      console.log(`Note: no affinity of these settings has public id ${publicId}.`);
  });
}

function hasPublicId({ mta }: Settings, publicId: number): boolean {
  return mta.affinities.some(({ ips }) => ips.some((ip) => ip.publicId === publicId));
}

/** Resumes. Faults: SETTINGS_*, DATABASE_*. */
export async function resume(
  config: string | undefined,
  target: string | undefined,
  options: Pick<SuspendOptions, "publicId" | "delivery">,
): Promise<void> {
  await withDatabase(config, async (sql, settings) => {
    await requireSchema(sql);
    console.log(await resumeText(sql, operatorOf(settings), target ?? "", options));
  });
}

/** Who does it, as far as this machine knows. */
function operatorOf(settings: Settings): string {
  let user: string;
  try {
    user = userInfo().username;
  } catch {
    // A container's user without a name.
    user = `uid ${process.getuid?.() ?? "?"}`;
  }
  return settings.machine === "" ? user : `${user}@${settings.machine}`;
}

export async function suspendText(
  sql: Sql,
  by: string,
  site: string,
  options: SuspendOptions,
  now: number,
): Promise<string> {
  const { publicId, delivery, reason = "" } = options;
  if (site.trim() === "" && publicId === undefined && delivery === undefined) {
    if (reason !== "" || options.for !== undefined || site !== "")
      throw new UsageError("suspend what? A site ('*' for all), --public-id or --delivery");
    return listed(await activeSuspensions(sql));
  }
  if (reason.trim() === "") throw new UsageError("say why: --reason <text>");
  const why = harmless(reason, MOST_REASON);
  if (delivery !== undefined) {
    if (site !== "" || publicId !== undefined || options.for !== undefined)
      throw new UsageError("--delivery stands alone: a delivery is paused as a whole, until it is resumed");
    return commanded(sql, delivery, "pause", why, by);
  }
  const wanted = site.trim().toLowerCase();
  const problem = wanted === "" ? "" : siteProblem(wanted);
  if (problem !== "") throw new UsageError(`${harmless(site, 100)} ${problem}`);
  const until = options.for === undefined ? null : new Date(now + lengthOf(options.for));
  const made = await addSuspension(sql, { site: wanted, publicId: idOf(publicId), reason: why, by, until });
  return `Suspended: ${describe(made)}. Resume with: postilion resume ${made.id}`;
}

/** `target`: the number of a suspension, or the site it was made for. */
export async function resumeText(
  sql: Sql,
  by: string,
  target: string,
  { publicId, delivery }: Pick<SuspendOptions, "publicId" | "delivery">,
): Promise<string> {
  if (delivery !== undefined) {
    if (target !== "" || publicId !== undefined) throw new UsageError("--delivery stands alone");
    return commanded(sql, delivery, "resume", "", by);
  }
  if (target === "" && publicId === undefined)
    throw new UsageError("resume what? A number of 'postilion suspend', a site, or --public-id");
  const id = idOf(publicId);
  const active = await activeSuspensions(sql);
  const chosen = /^\d{1,15}$/.test(target)
    ? active.filter((one) => one.id === Number(target) && id === null)
    : active.filter((one) => one.site === target.trim().toLowerCase() && one.publicId === id);
  const ended: string[] = [];
  for (const one of chosen) if ((await endSuspension(sql, one.id, by)) !== null) ended.push(describe(one));
  if (ended.length === 0) throw new UsageError("no such suspension is in force; 'postilion suspend' lists them");
  return ended.map((text) => `Resumed: ${text}. Mail comes back step by step.`).join("\n");
}

async function commanded(
  sql: Sql,
  text: string,
  command: "pause" | "resume",
  reason: string,
  by: string,
): Promise<string> {
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`${harmless(text, 40)} is not the number of a delivery`);
  const changed = await changeState(sql, Number(text), command, reason, by);
  if (changed.kind === "absent") throw new UsageError(`there is no delivery ${text}`);
  if (changed.kind === "refused") throw new UsageError(`${command} is not possible: ${changed.why}`);
  return `Delivery ${text} is ${changed.state}.`;
}

function listed(active: readonly StoredSuspension[]): string {
  if (active.length === 0) return "Nothing is suspended.";
  return table([
    ["number", "site", "public id", "by", "since", "until", "why"],
    ...active.map((one) => [
      one.id,
      one.site === "" ? "all" : one.site,
      one.publicId === null ? "all" : String(one.publicId),
      harmless(one.by, 60),
      stamp(one.since),
      one.until === 0 ? "it is resumed" : stamp(one.until),
      harmless(one.reason, 200),
    ]),
  ]).join("\n");
}

function describe({ id, site, publicId, until, reason }: StoredSuspension): string {
  const what = [site === "" ? "all sites" : site, publicId === null ? "" : `public id ${publicId}`].filter(
    (one) => one !== "",
  );
  return `${what.join(" from ")}${until === 0 ? "" : ` until ${stamp(until)}`} (${harmless(reason, 200)}; number ${id})`;
}

function idOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--public-id is a number, not ${harmless(text, 40)}`);
  return Number(text);
}

function lengthOf(text: string): number {
  const match = /^(\d{1,4})(m|h|d)$/.exec(text);
  const ms = match === null ? 0 : Number(match[1]) * UNITS[match[2] as keyof typeof UNITS];
  if (ms <= 0) throw new UsageError(`--for is a length of time such as 90m, 2h or 3d, not ${harmless(text, 40)}`);
  return ms;
}
