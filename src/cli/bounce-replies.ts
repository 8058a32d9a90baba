/**
 * `postilion bounce replies`: what the rules make of reply lines, one JSON object a line with `id` and `reply`. Needs no database. A line that
 * is no such object is complained of with its number, and the others go on.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { EXIT } from "../base/exit.ts";
import { loadBounceRules } from "../config/bounce-rules-file.ts";
import { loadSettings } from "../config/load.ts";
import type { BounceTable } from "../model/bounce-rules.ts";
import { harmless } from "../model/harmless.ts";
import { enhancedIn, readSaid } from "../model/said.ts";
import { categoryOf } from "../model/verdict.ts";
import { openLinesOut } from "./lines-out.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage.ts";

/** As it is printed with --json. */
export interface ClassifiedReply {
  readonly id: string | number;
  readonly type: string;
  readonly category: string;
  readonly reason: string;
  readonly scope: string;
  readonly status: string;
  readonly replyCode: string;
  readonly rule: string;
  readonly rulesVersion: string;
  readonly advice: string;
}

/** Prints a line each; the exit code: 1 when a line could not be read. Faults: SETTINGS_*, RULES_INVALID. */
export async function bounceReplies(config: string | undefined, file: string, json: boolean): Promise<number> {
  const rules = loadBounceRules(loadSettings(config, process.env));
  const rows: string[][] = [["id", "type", "category", "rule", "reply"]];
  const out = openLinesOut();
  let bad = 0;
  let number = 0;
  for await (const line of linesOf(file)) {
    number++;
    if (line.trim() === "") continue;
    const asked = readLine(line);
    if (asked === null) {
      bad++;
      console.error(`${file}:${number}: not an object with "id" and "reply"`);
      continue;
    }
    const found = classifyReply(rules, asked.id, asked.reply);
    if (json) {
      if (!(await out.print(JSON.stringify(found)))) break;
    } else
      rows.push([harmless(String(found.id), 40), found.type, found.category, found.rule, harmless(asked.reply, 100)]);
  }
  if (!json) await out.print(table(rows).join("\n"));
  return bad > 0 ? EXIT.fault : EXIT.ok;
}

export function classifyReply(rules: BounceTable, id: string | number, reply: string): ClassifiedReply {
  const said = readSaid(reply);
  const verdict = rules.judge({ ...said, source: "reply", mx: "", stage: "" });
  return {
    id,
    type: verdict.type,
    category: categoryOf(verdict.reason),
    reason: verdict.reason,
    scope: verdict.scope,
    status: said.enhanced || enhancedIn(said.text, said.code),
    replyCode: said.code === 0 ? "" : String(said.code),
    rule: verdict.rule,
    rulesVersion: verdict.version,
    advice: verdict.advice,
  };
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = createReadStream(file);
  try {
    yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    throw new UsageError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

function readLine(line: string): { readonly id: string | number; readonly reply: string } | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || !("id" in value) || !("reply" in value)) return null;
  const { id, reply } = value;
  if ((typeof id !== "string" && typeof id !== "number") || typeof reply !== "string") return null;
  return { id, reply };
}
