/**
 * What is in force: rules on exchangers, rules on replies, and of the settings what a server takes over while it runs (circuit breaker,
 * warm-up), as they were read last without a mistake. All of it is read together and changes together: who reads a bad file or a bad
 * setting goes on with everything that was in force, and is told every mistake.
 */
import { createHash } from "node:crypto";
import { Fault } from "../../base/faults.ts";
import type { Log } from "../../base/log.ts";
import { changedSettings } from "../../config/changed.ts";
import { loadMxRules } from "../../config/mx-rules-file.ts";
import { loadReplyRules } from "../../config/reply-rules-file.ts";
import type { Settings } from "../../config/settings.ts";
import { RELOADED, type StatSettings } from "../../config/stat-settings.ts";
import type { MxRules } from "../../model/mx-rules.ts";
import type { ReplyRules } from "../../model/reply-rules.ts";
import type { ReloadedHere } from "../../quota/answers.ts";

export interface RuleBook {
  readonly mx: MxRules;
  readonly replies: ReplyRules;
  readonly settings: Pick<StatSettings, "breaker" | "warmUp">;
  /** Reads all of it again. Faults SETTINGS_* and RULES_INVALID with everything that is wrong; then nothing has changed. */
  read(): Read;
}

export interface Read extends ReloadedHere {
  /** Something is not as it was. */
  readonly changed: boolean;
}

interface Content extends Pick<RuleBook, "mx" | "replies" | "settings"> {
  readonly told: ReloadedHere;
  /** All of it, where each thing stands too: rules may be shown with the line they stand on. */
  readonly text: string;
}

/** `settings`: those this process was started with, read first; `readSettings`: those of now. Faults: RULES_INVALID. */
export function openRuleBook(settings: Settings, readSettings: () => Settings, log: Log): RuleBook {
  let content = load(settings, settings);
  tell();

  function tell(): void {
    const { warnings, rules, replyRules, warmUps } = content.told;
    for (const warning of warnings) log.warn({ warning }, "a rule may not be meant as it is written");
    log.info({ rules, replyRules, warmUps }, "rules are read");
  }

  return {
    get mx() {
      return content.mx;
    },
    get replies() {
      return content.replies;
    },
    get settings() {
      return content.settings;
    },
    read() {
      const next = load(settings, readSettings());
      const changed = next.text !== content.text;
      if (next.told.restart.length > 0)
        log.warn({ settings: next.told.restart }, "these settings have changed and take a restart");
      // The same objects as long as nothing has changed: rules that are new to the engine call every grant back.
      if (changed) content = next;
      if (changed) tell();
      return { ...next.told, changed };
    },
  };
}

function load(started: Settings, { ...now }: Settings): Content {
  const stat = { ...started.stat };
  const take = <T extends (typeof RELOADED)[number]>(name: T): void => void (stat[name] = now.stat[name]);
  RELOADED.forEach(take);
  const here = { dataDir: started.dataDir, stat };
  const { rules: mx, warnings } = loadMxRules(here);
  const replies = loadReplyRules(here);
  if ("problems" in replies) {
    const { problems } = replies;
    throw new Fault("RULES_INVALID", problems.length === 1 ? (problems[0] ?? "") : `\n  ${problems.join("\n  ")}`);
  }
  const { breaker, warmUp } = stat;
  const taken = RELOADED.map((name) => `stat.${name}`);
  const isTaken = (name: string): boolean => taken.some((one) => name === one || name.startsWith(`${one}.`));
  const all = [mx, replies.rules, breaker, warmUp];
  return {
    mx,
    replies: replies.rules,
    settings: { breaker, warmUp },
    text: JSON.stringify(all),
    told: {
      rules: mx.length,
      replyRules: replies.rules.length,
      warmUps: warmUp.length,
      digest: digestOf(all),
      warnings,
      restart: changedSettings(started, now).filter((name) => !isTaken(name)),
    },
  };
}

/** Equal on two servers when they go by the same, whatever their files are called and whatever the notes in them say. */
function digestOf(all: readonly unknown[]): string {
  const text = JSON.stringify(all, (name, value: unknown) =>
    name === "origin" || name === "origins" || name === "note" ? undefined : value,
  );
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
