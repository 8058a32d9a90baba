/** `postilion config check|show|example`. */
import { openLog } from "../base/log.ts";
import { exampleYaml, settingsTable, showSettings } from "../config/describe.ts";
import { loadDkimKeys } from "../config/keys.ts";
import { findSettingsFile, loadSettings } from "../config/load.ts";

/** Loads the settings and the keys they name; returns only if all is well. Faults: SETTINGS_*, KEY_UNREADABLE. */
export function configCheck(config: string | undefined): void {
  const settings = loadSettings(config, process.env);
  const keys = loadDkimKeys(settings, openLog("config", { level: "warn", pretty: process.stdout.isTTY }));
  console.log(
    `${findSettingsFile(config, process.env) ?? "no settings file: the defaults"}: in order; DKIM keys: ${keys.length}`,
  );
}

/** Prints the settings in force, secrets masked. */
export function configShow(config: string | undefined): void {
  process.stdout.write(showSettings(loadSettings(config, process.env)));
}

/** Prints a file with every setting, or the same as a Markdown table. */
export function configExample(markdown: boolean): void {
  process.stdout.write(markdown ? settingsTable() : exampleYaml());
}
