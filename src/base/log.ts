/** Structured log, and the only importer of pino. Text from a remote is always a field, never part of the message. */
import { pino } from "pino";

export interface Log {
  debug(fields: object, text: string): void;
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
  error(fields: object, text: string): void;
  /** A log whose lines carry these fields too. */
  child(fields: object): Log;
}

export interface LogOptions {
  readonly level: string;
  readonly pretty: boolean;
}

/** Writes to standard output: JSON lines, or coloured ones when `pretty`. */
export function openLog(module: string, options: LogOptions): Log {
  return pino({
    level: options.level,
    base: { module, pid: process.pid },
    // A secret never reaches the log, whatever object it hides in.
    redact: {
      paths: ["password", "secret", "authorization", "*.password", "*.secret", "*.authorization"],
      censor: "[redacted]",
    },
    ...(options.pretty
      ? {
          transport: {
            target: "pino-pretty",
            options: { colorize: true, ignore: "pid,hostname,module", messageFormat: "[{module}] {msg}" },
          },
        }
      : {}),
  }) as unknown as Log;
}

/** Writes nothing: for tests and tools. */
export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => silentLog };
