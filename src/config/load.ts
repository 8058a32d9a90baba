/**
 * Loads the settings: the file, then the environment over it, then the check against the schema. All that is wrong is said at once,
 * each thing with its path, its line in the file and, for a name nobody knows, the name that was meant.
 */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Fault } from "../base/faults.ts";
import { namesAt, nodeAt } from "./describe.ts";
import { nearest } from "./nearest.ts";
import { type Settings, type SettingsProblem, checkSettings } from "./settings.ts";
import { type YamlPath, parseYamlValue, readYaml } from "./yaml.ts";

type Env = Readonly<Record<string, string | undefined>>;

const PLACES = ["./postilion.yaml", "/etc/postilion/postilion.yaml"];

/** The file that would be loaded: the given one, $POSTILION_CONFIG, ./postilion.yaml, /etc/postilion/postilion.yaml; undefined for none. */
export function findSettingsFile(file: string | undefined, env: Env): string | undefined {
  return file ?? (env["POSTILION_CONFIG"] || PLACES.find((place) => existsSync(place)));
}

/**
 * The settings in force; without a file the defaults. Paths in them are absolute afterwards (relative ones are meant from the working
 * folder). Faults: SETTINGS_UNREADABLE, SETTINGS_INVALID.
 */
export function loadSettings(file: string | undefined, env: Env): Settings {
  const chosen = findSettingsFile(file, env);
  const source = chosen === undefined ? null : readSource(chosen);
  const values = source?.values ?? {};
  const origins = new Map<string, string>();
  const problems = applyEnvironment(values, env, origins).map((text) => text);
  const checked = checkSettings(values);
  if ("problems" in checked) {
    for (const problem of checked.problems) {
      const at = origins.get(problem.path.join(".")) ?? source?.where(problem.path) ?? "";
      problems.push(`${at === "" ? "" : `${at}: `}${told(problem)}`);
    }
  }
  if (problems.length > 0 || "problems" in checked) throw new Fault("SETTINGS_INVALID", list(problems));
  const { settings } = checked;
  return {
    ...settings,
    dataDir: resolve(settings.dataDir),
    tokenKeyFile: resolve(settings.tokenKeyFile || `${settings.dataDir}/keys/token.json`),
    dkim: settings.dkim.map((key) => ({ ...key, keyFile: resolve(key.keyFile) })),
  };
}

function list(problems: readonly string[]): string {
  return problems.length === 1 ? (problems[0] ?? "") : `\n  ${problems.join("\n  ")}`;
}

function told({ path, text, unknown }: SettingsProblem): string {
  const name = path.reduce<string>(
    (before, step) => (typeof step === "number" ? `${before}[${step}]` : before === "" ? step : `${before}.${step}`),
    "",
  );
  if (unknown === "") return `${name || "the file"}: ${text}`;
  const names = namesAt(path.slice(0, -1));
  const meant = nearest(unknown, names);
  return `${name}: ${text}; ${meant === "" ? `known here: ${names.join(", ")}` : `did you mean ${meant}?`}`;
}

interface Source {
  readonly values: Record<string, unknown>;
  /** `<file>:<line>` of a path, or of what is nearest above it. */
  where(path: YamlPath): string;
}

function readSource(file: string): Source {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new Fault("SETTINGS_UNREADABLE", `${file}: ${(error as Error).message}`, error);
  }
  const read = readYaml(text, file);
  if ("problems" in read) throw new Fault("SETTINGS_INVALID", list(read.problems));
  const { values, where } = read;
  if (values !== undefined && (typeof values !== "object" || values === null || Array.isArray(values))) {
    throw new Fault("SETTINGS_INVALID", `${file}:1: settings are 'name: value' lines`);
  }
  return { values: (values ?? {}) as Record<string, unknown>, where };
}

/**
 * Puts `POSTILION_WEB__PORT=9000` at `web.port`; letter case and single underscores do not count, a list or group is given as YAML or
 * JSON. Returns what was wrong. A name without `__` that means nothing is left alone: Kubernetes sets POSTILION_PORT by itself.
 */
function applyEnvironment(values: Record<string, unknown>, env: Env, origins: Map<string, string>): string[] {
  const problems: string[] = [];
  const fold = (name: string): string => name.replaceAll("_", "").toLowerCase();
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith("POSTILION_") || text === undefined) continue;
    const steps = variable.slice("POSTILION_".length).split("__");
    const path: string[] = [];
    for (const step of steps) {
      const names = namesAt(path);
      const name = names.find((candidate) => fold(candidate) === fold(step));
      if (name === undefined) {
        const meant = nearest(step.replaceAll("_", ""), names);
        if (steps.length > 1)
          problems.push(`${variable}: no setting ${[...path, step].join(".")}${meant && `; did you mean ${meant}?`}`);
        path.length = 0;
        break;
      }
      path.push(name);
    }
    if (path.length === 0) continue;
    try {
      put(values, path, nodeAt(path)?.type === "string" ? text : parseYamlValue(text));
      origins.set(path.join("."), variable);
    } catch (error) {
      problems.push(`${variable}: ${(error as Error).message}`);
    }
  }
  return problems;
}

function put(values: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = values;
  for (const name of path.slice(0, -1)) {
    const inner = at[name];
    at = (typeof inner === "object" && inner !== null ? inner : (at[name] = {})) as Record<string, unknown>;
  }
  at[path.at(-1) ?? ""] = value;
}
