/**
 * A note on the disk that this machine uses its share without a server. It is written before the first message is taken so, and removed when
 * the server has the counts in a stored snapshot. A process that ends in between has lost them: the next one finds the note and says so.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";

export interface AloneNote {
  /** Whether the process before this one may have used its share. */
  readonly found: boolean;
  /** Throws when it cannot be written. */
  set(on: boolean): void;
}

export function openAloneFile(path: string): AloneNote {
  const found = existsSync(path);
  return {
    found,
    set(on) {
      if (!on) return rmSync(path, { force: true });
      mkdirSync(dirname(path), { recursive: true });
      const file = openSync(path, "w");
      try {
        writeSync(file, "this machine sends by its share, without a statistics server\n");
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
    },
  };
}
