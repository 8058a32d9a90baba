/**
 * Mirror pages on disk, one file each: a line of JSON with what is known of it, then the HTML. Bounded in octets and number; the least recently used go.
 * Nothing here is precious: what cannot be written or read is fetched again.
 */
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";

export interface MirrorPage {
  readonly html: Buffer;
  /** 0: web did not say. */
  readonly delivery: number;
  /** Content-Security-Policy that web gave it; '' for none. */
  readonly policy: string;
  /** Of an anonymous delivery: who looks at it is not written down. */
  readonly anonymous: boolean;
}

export interface KeptPage extends MirrorPage {
  /** Epoch ms. */
  readonly fetchedAt: number;
}

export interface MirrorCache {
  get(token: string): Promise<KeptPage | null>;
  /** Never rejects. */
  put(token: string, page: MirrorPage): Promise<void>;
  drop(token: string): Promise<void>;
  readonly bytes: number;
}

export interface MirrorCacheOptions {
  readonly folder: string;
  readonly mostBytes: number;
  readonly clock: Clock;
  readonly log: Log;
}

/** Small pages are not to fill a folder without end. */
const MOST_FILES = 50_000;
/** Of the bound: one page is not to drive out all others. */
const PAGE_SHARE = 4;

export function openMirrorCache({ folder, mostBytes, clock, log }: MirrorCacheOptions): MirrorCache {
  /** Least recently used first. */
  const index = readIndex(folder, log);
  let total = 0;
  for (const { bytes } of index.values()) total += bytes;
  let written = 0;

  const pathOf = (token: string): string => join(folder, `${token}.page`);

  async function drop(token: string): Promise<void> {
    const entry = index.get(token);
    if (entry === undefined) return;
    index.delete(token);
    total -= entry.bytes;
    await unlink(pathOf(token)).catch((err: unknown) => log.debug({ err }, "a cached mirror page is not removed"));
  }

  async function shrink(): Promise<void> {
    for (const token of index.keys()) {
      if (total <= mostBytes && index.size <= MOST_FILES) return;
      await drop(token);
    }
  }

  return {
    async get(token) {
      const entry = index.get(token);
      if (entry === undefined) return null;
      index.delete(token);
      index.set(token, entry);
      try {
        const bytes = await readFile(pathOf(token));
        const end = bytes.indexOf(10);
        const facts = JSON.parse(bytes.toString("utf8", 0, end)) as Record<string, unknown>;
        const { delivery, policy, anonymous } = facts;
        if (typeof delivery !== "number" || typeof policy !== "string" || typeof anonymous !== "boolean")
          throw new Error("not a cached page");
        return { html: bytes.subarray(end + 1), delivery, policy, anonymous, fetchedAt: entry.fetchedAt };
      } catch (err) {
        log.debug({ err }, "a cached mirror page is fetched again");
        await drop(token);
        return null;
      }
    },
    async put(token, { html, ...facts }) {
      const head = Buffer.from(`${JSON.stringify(facts)}\n`, "utf8");
      const bytes = head.length + html.length;
      if (bytes > mostBytes / PAGE_SHARE) return drop(token);
      const fresh = join(folder, `${written++}.new`);
      try {
        await writeFile(fresh, Buffer.concat([head, html]), { mode: 0o600 });
        await rename(fresh, pathOf(token));
      } catch (err) {
        log.debug({ err }, "a mirror page is not cached");
        await unlink(fresh).catch(() => {});
        return;
      }
      total += bytes - (index.get(token)?.bytes ?? 0);
      index.delete(token);
      index.set(token, { bytes, fetchedAt: clock.now() });
      await shrink();
    },
    drop,
    get bytes() {
      return total;
    },
  };
}

function readIndex(folder: string, log: Log): Map<string, { readonly bytes: number; readonly fetchedAt: number }> {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const names = readdirSync(folder);
    // Half-written when a process was killed: nobody counts them.
    for (const name of names) if (/^\d+\.new$/.test(name)) rmSync(join(folder, name), { force: true });
    const files = names
      .filter((name) => /^[a-z2-7]{31}\.page$/.test(name))
      .map((name) => {
        const { size, mtimeMs } = statSync(join(folder, name));
        return { token: name.slice(0, 31), bytes: size, fetchedAt: mtimeMs };
      });
    return new Map(
      files
        .sort((a, b) => a.fetchedAt - b.fetchedAt)
        .map(({ token, bytes, fetchedAt }) => [token, { bytes, fetchedAt }]),
    );
  } catch (err) {
    log.warn({ err, folder }, "mirror pages are not cached");
    return new Map();
  }
}
