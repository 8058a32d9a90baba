/** `postilion stat check` and `postilion stat explain`: the rules as the files have them, and what they come to for one receiver. */
import { systemClock } from "../base/clock.ts";
import { EXIT } from "../base/exit.ts";
import { loadSettings } from "../config/load.ts";
import { loadMxRules } from "../config/mx-rules-file.ts";
import { openResolver } from "../mta/resolver.ts";
import { askOf } from "./stat-ask.ts";
import { checkRules, checkedText } from "./stat-check.ts";
import { explain, isWhole } from "./stat-explain.ts";
import { explainedText } from "./stat-explain-text.ts";
import { UsageError } from "./usage.ts";

/** Prints what is wrong or doubtful; the exit code: 1 when something is wrong, doubts alone are 0. Faults: SETTINGS_*. */
export function statCheck(config: string | undefined, file: string | undefined, json: boolean): number {
  const checked = checkRules(loadSettings(config, process.env), file ?? "");
  console.log(json ? JSON.stringify(checked) : checkedText(checked));
  return checked.ok ? EXIT.ok : EXIT.fault;
}

export interface ExplainOptions {
  readonly exchanger?: boolean;
  readonly publicId?: string;
  readonly json?: boolean;
}

/** A person waits: the DNS gets two tries of three seconds at most. */
const PATIENCE = { timeoutMs: 3_000, tries: 2 };

/** Prints what there is; the exit code: 1 when the DNS does not say where mail goes, or that it goes nowhere. Faults: SETTINGS_*, RULES_INVALID. */
export async function statExplain(
  config: string | undefined,
  target: string,
  options: ExplainOptions,
): Promise<number> {
  const settings = loadSettings(config, process.env);
  const { dns } = settings.mta;
  const patience = {
    timeoutMs: Math.min(dns.timeoutMs, PATIENCE.timeoutMs),
    tries: Math.min(dns.tries, PATIENCE.tries),
  };
  const choice = {
    publicId: options.publicId === undefined ? null : publicIdOf(options.publicId),
    exchanger: options.exchanger === true,
  };
  const explained = await explain(target, choice, {
    settings,
    rules: loadMxRules(settings).rules,
    resolver: openResolver({ ...dns, ...patience }, systemClock),
    ask: askOf(settings),
  });
  console.log(options.json === true ? JSON.stringify(explained) : explainedText(explained));
  return isWhole(explained) ? EXIT.ok : EXIT.fault;
}

function publicIdOf(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`--public-id is a number, not ${text}`);
  return Number(text);
}
