/** What a process ends with: the numbers of sysexits where there is one, so that systemd and scripts can tell causes apart. */
import { Fault, type FaultCode } from "./faults.ts";

export const EXIT = {
  ok: 0,
  /** Our surroundings: database away, port taken … trying again may help. */
  fault: 1,
  usage: 2,
  /** EX_SOFTWARE: a bug. */
  bug: 70,
  /** EX_CONFIG: somebody has to change the settings or a key file. */
  settings: 78,
} as const;

const FOR_PEOPLE: readonly FaultCode[] = ["SETTINGS_INVALID", "SETTINGS_UNREADABLE", "RULES_INVALID", "KEY_UNREADABLE"];

/** The exit code for what ended the process. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof Fault)) return EXIT.bug;
  return FOR_PEOPLE.includes(error.code) ? EXIT.settings : EXIT.fault;
}

/** One line (or a short list) for a person: a fault without its stack, a bug with it. */
export function told(error: unknown): string {
  if (error instanceof Fault) return `${error.message} [${error.code}]`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
