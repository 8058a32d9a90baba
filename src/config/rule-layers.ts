/**
 * Files of rules in layers: those that come along and the operator's own over them, which is never written by us. A rule of the operator
 * with the id of one below changes what it names and leaves the rest; one with `off: true` takes it away; new ones stand before all others.
 * What is wrong comes back as sentences with file and line, never as an exception: who reloads a bad file goes on with the rules in force.
 */
import { existsSync, readFileSync } from "node:fs";
import { z } from "zod";
import { readYaml } from "./yaml.ts";

export interface RulesFile {
  /** What the problems call it. */
  readonly name: string;
  readonly text: string;
}

/** A rule as it stands in a file, whatever else is in it. */
export interface RuleText {
  readonly id: string;
  readonly off?: boolean | undefined;
}

/** Schemas of what rules have in common. */
export const ruleId = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, "is not a name of small letters, digits, - and .");
const TEXTS_MOST = 2000;
const one = z.union([z.string(), z.number().transform(String)]).transform((text) => [text]);
/** One text or several; a bare 421 is a text too. */
export const textList = z
  .union([one, z.array(z.union([z.string(), z.number().transform(String)])).min(1)])
  .refine((texts) => texts.length <= TEXTS_MOST, `are more than ${TEXTS_MOST}`)
  .optional();
export const exampleList = z.array(z.string().min(3)).min(1).optional();

export interface Layered<T> {
  /** In order of precedence, without those that are off. */
  readonly rules: readonly { readonly rule: T; readonly origin: string }[];
  /** Ids in any layer over the lowest: their rules may take what a rule under them was for. */
  readonly over: ReadonlySet<string>;
}

/** The rules of files, the lowest layer first. `merged`: a rule with another of its id over it. Problems are added to `problems`. */
export function layerRules<T extends RuleText>(
  files: readonly RulesFile[],
  schema: z.ZodType<T>,
  merged: (under: T, over: T) => T,
  problems: string[],
): Layered<T> {
  let layers: Layered<T>["rules"] = [];
  const own = new Set<string>();
  for (const file of files) {
    const read = readRules(file, schema, problems);
    const ids = new Set<string>();
    for (const { rule, origin } of read) {
      if (ids.has(rule.id)) problems.push(`${origin}: rule ${rule.id}: there is another rule of this name in the file`);
      ids.add(rule.id);
    }
    const known = new Set(layers.map(({ rule }) => rule.id));
    const changes = new Map(read.map((each) => [each.rule.id, each]));
    if (file !== files[0]) for (const id of ids) own.add(id);
    layers = [
      ...read.filter(({ rule }) => !known.has(rule.id)),
      ...layers.map((under) => {
        const over = changes.get(under.rule.id);
        if (over === undefined) return under;
        return { rule: merged(under.rule, over.rule), origin: `${over.origin} over ${under.origin}` };
      }),
    ];
  }
  return { rules: layers.filter(({ rule }) => rule.off !== true), over: own };
}

/**
 * From the disk: the shipped file and, when it is there, the operator's. `named`: its name in the settings, '' for none; a named one that is
 * not there is a problem, `usual` need not be there.
 */
export function openRulesFiles(
  shipped: RulesPlace,
  named: string,
  usual: string,
): { readonly files: readonly RulesFile[]; readonly problems: readonly string[] } {
  const own = named || usual;
  const places: RulesPlace[] = [shipped];
  if (named !== "" || existsSync(own)) places.push({ name: own, path: own });
  const files: RulesFile[] = [];
  const problems: string[] = [];
  for (const { name, path } of places) {
    try {
      files.push({ name, text: readFileSync(path, "utf8") });
    } catch (error) {
      problems.push(`${name}: ${(error as Error).message}`);
    }
  }
  return { files, problems };
}

export interface RulesPlace {
  readonly name: string;
  readonly path: string;
}

function readRules<T>(file: RulesFile, schema: z.ZodType<T>, problems: string[]): { rule: T; origin: string }[] {
  const document = readYaml(file.text, file.name);
  if ("problems" in document) {
    problems.push(...document.problems);
    return [];
  }
  const { values = {}, where } = document;
  if (typeof values !== "object" || values === null || Object.keys(values).some((name) => name !== "rules")) {
    problems.push(`${file.name}:1: the file is 'rules:' and a list`);
    return [];
  }
  const rules: unknown = "rules" in values ? values.rules : [];
  if (!Array.isArray(rules)) {
    problems.push(`${where(["rules"])}: rules is not a list`);
    return [];
  }
  return rules.flatMap((value: unknown, index) => {
    const result = schema.safeParse(value);
    if (result.success) return [{ rule: result.data, origin: where(["rules", index]) }];
    for (const issue of result.error.issues) {
      const path = ["rules", index, ...issue.path.map((step) => (typeof step === "number" ? step : String(step)))];
      problems.push(`${where(path)}: ${issue.path.join(".") || `rules[${index}]`}: ${issue.message}`);
    }
    return [];
  });
}
