/** Mail of readers, kept whole as it was on the wire, in one file: what pretend readers read afterwards. */
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";

export interface KeptLetter {
  /** Lower case. */
  readonly to: string;
  /** Where it lies in the file. */
  readonly at: number;
  readonly bytes: number;
}

export interface Letters {
  /** Keeps it if it is the mail of a reader, and the first one. */
  take(to: string, bytes: Buffer): void;
  write(file: string): Promise<KeptLetter[]>;
}

export function openLetters(isReader: (address: string) => boolean): Letters {
  const letters = new Map<string, Buffer>();
  return {
    take(to, bytes) {
      const address = to.toLowerCase();
      // Copied: the bytes are a view into a read buffer that would be kept alive as a whole.
      if (isReader(address) && !letters.has(address)) letters.set(address, Buffer.from(bytes));
    },
    async write(file) {
      const stream = createWriteStream(file);
      const kept: KeptLetter[] = [];
      let at = 0;
      for (const [to, { length }] of letters) {
        kept.push({ to, at, bytes: length });
        at += length;
      }
      for (const bytes of letters.values())
        if (!stream.write(bytes)) await new Promise((resolve) => stream.once("drain", resolve));
      stream.end();
      await finished(stream);
      return kept;
    },
  };
}
