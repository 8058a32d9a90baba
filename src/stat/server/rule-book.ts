/**
 * The rules in force, of exchangers and of replies, as they were read last without a mistake. Whoever reloads with a bad file goes on with
 * those in force and is told every mistake.
 */
import { Fault } from "../../base/faults.ts";
import type { Log } from "../../base/log.ts";
import { loadMxRules } from "../../config/mx-rules-file.ts";
import { loadReplyRules } from "../../config/reply-rules-file.ts";
import type { Settings } from "../../config/settings.ts";
import type { MxRules } from "../../model/mx-rules.ts";
import type { ReplyRules } from "../../model/reply-rules.ts";

export interface RuleBook {
  readonly mx: MxRules;
  readonly replies: ReplyRules;
  /** Reads both again. Fault RULES_INVALID with everything that is wrong; then nothing has changed. */
  read(): Reloaded;
}

export interface Reloaded {
  /** How many there are now. */
  readonly rules: number;
  readonly replyRules: number;
  /** What may not be meant as it is written. */
  readonly warnings: readonly string[];
}

/** Faults: RULES_INVALID. */
export function openRuleBook(settings: Pick<Settings, "dataDir" | "stat">, log: Log): RuleBook {
  let mx: MxRules = [];
  let replies: ReplyRules = [];

  function read(): Reloaded {
    // Both before either is taken over: they are changed together.
    const nextMx = loadMxRules(settings);
    const nextReplies = loadReplyRules(settings);
    if ("problems" in nextReplies) {
      const { problems } = nextReplies;
      throw new Fault("RULES_INVALID", problems.length === 1 ? (problems[0] ?? "") : `\n  ${problems.join("\n  ")}`);
    }
    mx = nextMx.rules;
    replies = nextReplies.rules;
    for (const warning of nextMx.warnings) log.warn({ warning }, "a rule may not be meant as it is written");
    log.info({ rules: mx.length, replyRules: replies.length }, "rules are read");
    return { rules: mx.length, replyRules: replies.length, warnings: nextMx.warnings };
  }

  read();
  return {
    get mx() {
      return mx;
    },
    get replies() {
      return replies;
    },
    read,
  };
}
