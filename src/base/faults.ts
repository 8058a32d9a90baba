/**
 * Faults: our surroundings break (database gone, disk full, bad settings). Each has a code from this one catalogue, named in
 * ops/faults.md. What a remote server says is never a fault (model/outcome.ts); a bug is never caught.
 */
export const FAULTS = {
  SETTINGS_UNREADABLE: "The settings file cannot be read",
  SETTINGS_INVALID: "The settings are not valid",
  RULES_INVALID: "A file of rules is not valid",
  DATABASE_UNREACHABLE: "PostgreSQL does not answer",
  DATABASE_START: "The embedded PostgreSQL does not start",
  DATABASE_SCHEMA: "The database's schema is not the one this version needs",
  JOURNAL_UNWRITABLE: "The journal cannot be written",
  JOURNAL_LOCKED: "Another process uses this journal",
  TRACKING_LOG_UNWRITABLE: "The tracking log cannot be written",
  TRACKING_LOG_LOCKED: "Another process uses this tracking log",
  OWNER_TAKEN: "Another machine has the name of this one",
  KEY_UNREADABLE: "A key file cannot be read",
  PORT_TAKEN: "The port is in use",
  STAT_UNREACHABLE: "No statistics server answers",
  STAT_REFUSED: "A statistics server and this program do not accept each other",
} as const;
export type FaultCode = keyof typeof FAULTS;

export class Fault extends Error {
  readonly code: FaultCode;
  constructor(code: FaultCode, detail: string, cause?: unknown) {
    super(`${FAULTS[code]}: ${detail}`, cause === undefined ? undefined : { cause });
    this.name = "Fault";
    this.code = code;
  }
}
