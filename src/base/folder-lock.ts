/**
 * One process a folder: a file `lock` names the process that uses it and when that began, so a recycled process id is not mistaken for the one that
 * locked, and what a killed process left behind holds nobody up.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type FolderLock = { readonly unlock: () => void } | { readonly heldBy: number };

/** Locks the folder, or says which process holds it. Throws what the file system says. */
export function lockFolder(folder: string): FolderLock {
  const path = join(folder, "lock");
  for (;;) {
    try {
      writeFileSync(path, `${process.pid} ${processStart(process.pid)}`, { flag: "wx", mode: 0o600 });
      return { unlock: () => rmSync(path, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const [pid = "", start = ""] = readFileSync(path, "utf8").split(" ");
    if (start !== "" && processStart(Number(pid)) === start && Number(pid) !== process.pid)
      return { heldBy: Number(pid) };
    rmSync(path, { force: true });
  }
}

/** Start time of a process in clock ticks (proc(5), field 22), '' when it does not run; one that nobody has reaped yet does not. */
function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? "" : (fields[19] ?? "");
  } catch {
    return "";
  }
}
