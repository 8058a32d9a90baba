/**
 * Little programs that play modules for the watchdog. Each is TypeScript text run by a process of its own with an IPC channel; it says
 * `ready` when it is, and writes what happens to it into a journal file, so a test reads the order of things across processes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

export const PROGRAMS = {
  /** Ready at once; drains in an instant. */
  good: `process.on("SIGTERM", () => { note("stop"); process.exit(0); }); note("start"); ready(); stay();`,
  /** Never ready. */
  mute: `note("start"); stay();`,
  /** Ready, and does not care about SIGTERM. */
  deaf: `process.on("SIGTERM", () => note("ignored")); note("start"); ready(); stay();`,
  /** Ends before it is ready. */
  broken: `note("start"); process.exit(3);`,
  /** Ends before it is ready, with the code for wrong settings. */
  misconfigured: `note("start"); process.exit(78);`,
  /** Ready, then ends; at its third start it stays. */
  shaky: `process.on("SIGTERM", () => process.exit(0)); note("start"); ready(() => { if (count("start") < 3) process.exit(1); }); stay();`,
  /** Ends by itself when its parent is gone. */
  orphan: `process.on("disconnect", () => { note("stop"); process.exit(0); }); process.on("SIGTERM", () => process.exit(0)); note("start"); ready(); stay();`,
} as const;
export type Program = keyof typeof PROGRAMS;

/** Command line arguments that run a program under a name, with its journal. */
export function argumentsOf(program: Program, name: string, journal: string): string[] {
  const text = `
    import { appendFileSync, readFileSync } from "node:fs";
    const [, name, journal] = process.argv;
    const note = (text) => appendFileSync(journal, name + " " + text + "\\n");
    const count = (text) => readFileSync(journal, "utf8").split("\\n").filter((line) => line === name + " " + text).length;
    const ready = (then = () => {}) => process.send({ type: "ready", port: 7 }, then);
    const stay = () => setInterval(() => {}, 1000);
    ${PROGRAMS[program]}`;
  return ["--input-type=module", "-e", text, name, journal];
}

export function launch(program: Program, name: string, journal: string): ChildProcess {
  return spawn(process.execPath, argumentsOf(program, name, journal), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
}

/** The lines of a journal so far. */
export function lines(journal: string): string[] {
  return existsSync(journal) ? readFileSync(journal, "utf8").split("\n").filter(Boolean) : [];
}
