/** Which settings differ between two loads: names only, as they are written (`stat.port`), so that no secret is among them. */
import type { Settings } from "./settings.ts";

/** A list counts as one setting. Equal settings give []. */
export function changedSettings(before: Settings, after: Settings): string[] {
  return changedBelow("", before, after);
}

function changedBelow(name: string, before: unknown, after: unknown): string[] {
  if (isGroup(before) && isGroup(after)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    return names.flatMap((each) => changedBelow(name === "" ? each : `${name}.${each}`, before[each], after[each]));
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [name];
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
