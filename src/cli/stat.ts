/** `postilion stat check` and `postilion stat explain`: the rules as the files have them, and what they come to for one receiver. */
import { systemClock } from "../base/clock.ts";
import { EXIT } from "../base/exit.ts";
import { loadSettings } from "../config/load.ts";
import { loadMxRules } from "../config/mx-rules-file.ts";
import { openResolver } from "../mta/resolver.ts";
import { askOf } from "./stat-ask.ts";
import { checkRules, checkedText } from "./stat-check.ts";
import { explain } from "./stat-explain.ts";
import { explainedText } from "./stat-explain-text.ts";
import { UsageError } from "./usage.ts";

/** Prints what is wrong or doubtful; the exit code: 1 when something is wrong, doubts alone are 0. Faults: SETTINGS_*. */
export function statCheck(config: string | undefined, file: string | undefined, json: boolean): number {
  const checked = checkRules(loadSettings(config, process.env), file ?? "");
  console.log(json ? JSON.stringify(checked) : checkedText(checked));
  return checked.ok ? EXIT.ok : EXIT.fault;
}

export interface ExplainOptions {
  readonly publicId?: string;
  readonly json?: boolean;
}

/** Prints what there is. Faults: SETTINGS_*, RULES_INVALID. */
export async function statExplain(config: string | undefined, target: string, options: ExplainOptions): Promise<void> {
  const settings = loadSettings(config, process.env);
  const explained = await explain(target, options.publicId === undefined ? null : publicIdOf(options.publicId), {
    settings,
    rules: loadMxRules(settings).rules,
    resolver: openResolver(settings.mta.dns, systemClock),
    ask: askOf(settings),
  });
  console.log(options.json === true ? JSON.stringify(explained) : explainedText(explained));
}

function publicIdOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--public-id is a number, not ${text}`);
  return Number(text);
}
