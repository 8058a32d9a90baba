/**
 * Which processes live, as Linux tells it under /proc. A process id alone proves nothing after a restart of the machine or a
 * container: ids come round again, so a process is known by its id and its start time.
 */
import { readFileSync, readdirSync, readlinkSync } from "node:fs";

/** `<pid> <start time in clock ticks>`, or '' when there is no such process (a zombie counts as gone). */
export function identity(pid: number): string {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return ""; // gone: that is the answer
  }
  // The name in parentheses may hold anything; what follows the last one is fixed: state is the first field, start time the 20th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? "" : `${pid} ${fields[19]}`;
}

/** The command line of a process, '' when it is gone. */
export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "";
  }
}

/** Processes whose working folder this is: every process of a PostgreSQL works in its data folder. */
export function workingIn(folder: string): number[] {
  const found: number[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readlinkSync(`/proc/${entry}/cwd`) === folder && identity(Number(entry)) !== "") found.push(Number(entry));
    } catch {
      continue; // gone since, or another user's
    }
  }
  return found;
}
