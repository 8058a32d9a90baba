/** `postilion stat show|members`: asks the statistics server that leads. Exit code 1 when none answers. */
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../base/clock.ts";
import { EXIT } from "../base/exit.ts";
import { loadSettings } from "../config/load.ts";
import type { MembersAnswer, SiteAnswer, SitesAnswer } from "../quota/answers.ts";
import { type FindExchangers, openExchangers } from "../web/why/exchangers.ts";
import { type Ask, asked, askOf } from "./stat-ask.ts";
import { membersText, sitesText, siteText } from "./stat-show-text.ts";

export interface ShowOptions {
  readonly watch?: boolean;
  readonly json?: boolean;
}

export interface ShowDeps {
  readonly ask: Ask;
  readonly exchangers: FindExchangers;
}

const WATCH_MS = 2_000;
const SITES = 40;

/** Prints the sites with most to do, or one site (its name, or a recipient domain); the exit code. Faults: SETTINGS_*. */
export async function statShow(
  config: string | undefined,
  site: string | undefined,
  options: ShowOptions,
): Promise<number> {
  const settings = loadSettings(config, process.env);
  const deps: ShowDeps = { ask: askOf(settings), exchangers: openExchangers(settings.mta, systemClock) };
  if (options.watch !== true) return tell(await shown(deps, site ?? "", options.json === true));
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  let code: number = EXIT.ok;
  while (!stop.signal.aborted) {
    const answer = await shown(deps, site ?? "", options.json === true);
    // Cleared only once there is something to show, so that nothing flickers.
    if (process.stdout.isTTY && options.json !== true) process.stdout.write("\u001b[2J\u001b[H");
    code = tell(answer);
    // An abort is how the wait ends.
    await pause(WATCH_MS, undefined, { signal: stop.signal }).catch(() => {});
  }
  return code;
}

export type Told = { readonly text: string } | { readonly why: string };

/** What there is to print. */
export async function shown({ ask, exchangers }: ShowDeps, site: string, json: boolean): Promise<Told> {
  if (site === "") {
    const sites = await asked<SitesAnswer>(ask, "sites", { order: "top", limit: SITES });
    return "why" in sites ? sites : { text: json ? JSON.stringify(sites.data) : sitesText(sites.data) };
  }
  const wanted = site.slice(site.lastIndexOf("@") + 1).toLowerCase();
  let found = await asked<SiteAnswer>(ask, "site", { site: wanted });
  if ("data" in found && found.data.summary === null && !wanted.includes(",")) {
    // No site of this name: a recipient domain, then.
    const names = await exchangers(wanted);
    if (names.kind === "names") found = await asked<SiteAnswer>(ask, "site", { exchangers: names.names });
  }
  if ("why" in found) return found;
  return { text: json ? JSON.stringify(found.data) : siteText(wanted, found.data) };
}

/** Prints who is connected; the exit code. Faults: SETTINGS_*. */
export async function statMembers(config: string | undefined, json: boolean): Promise<number> {
  const found = await asked<MembersAnswer>(askOf(loadSettings(config, process.env)), "members", {});
  return tell("why" in found ? found : { text: json ? JSON.stringify(found.data) : membersText(found.data) });
}

function tell(told: Told): number {
  if ("text" in told) {
    console.log(told.text);
    return EXIT.ok;
  }
  console.error(`postilion: ${told.why}`);
  return EXIT.fault;
}
