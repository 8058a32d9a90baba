/**
 * What the exchangers of the pretend Internet have taken, as the other side of the ledger: each message by recipient and Message-ID
 * with how often it came, and the first few of each exchanger as they were on the wire. It believes nothing that the sender says.
 */
import { createWriteStream } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import type { Accepted } from "./host.ts";
import type { KeptLetter, Letters } from "./letters.ts";

/** Messages kept whole for each exchanger. */
const SAMPLES = 12;

export interface HostReceipt {
  readonly host: string;
  readonly messages: number;
  readonly bytes: number;
  readonly overTls: number;
}

export interface Receipt {
  readonly hosts: readonly HostReceipt[];
  /** Lines `recipient TAB Message-ID TAB times`. */
  readonly file: string;
  /** .eml files, with the recipient and the exchanger each was taken for and by. */
  readonly samples: readonly { readonly host: string; readonly to: string; readonly file: string }[];
  /** Mail of readers, whole. */
  readonly letters: { readonly file: string; readonly kept: readonly KeptLetter[] };
}

export interface Received {
  /** How many messages so far, and when the first one came (epoch ms, 0: none yet). */
  readonly total: number;
  readonly firstAt: number;
  /** Messages in the busiest second. */
  readonly peak: number;
  take(host: string, message: Accepted): void;
  /** Writes what is known into a folder. */
  report(folder: string): Promise<Receipt>;
}

interface Tally {
  messages: number;
  bytes: number;
  overTls: number;
  readonly samples: { readonly to: string; readonly bytes: Buffer }[];
}

export function openReceived(now: () => number, letters?: Letters): Received {
  const times = new Map<string, number>();
  const hosts = new Map<string, Tally>();
  let total = 0;
  let firstAt = 0;
  let peak = 0;
  let second = 0;
  let inSecond = 0;
  return {
    get total() {
      return total;
    },
    get firstAt() {
      return firstAt;
    },
    get peak() {
      return Math.max(peak, inSecond);
    },
    take(host, message) {
      const at = now();
      if (firstAt === 0) firstAt = at;
      total++;
      if (Math.floor(at / 1000) !== second) {
        peak = Math.max(peak, inSecond);
        second = Math.floor(at / 1000);
        inSecond = 0;
      }
      inSecond++;
      const tally = hosts.get(host) ?? { messages: 0, bytes: 0, overTls: 0, samples: [] };
      hosts.set(host, tally);
      tally.messages++;
      tally.bytes += message.bytes.length;
      if (message.tls) tally.overTls++;
      const id = messageId(message.bytes);
      for (const to of message.to) {
        const key = `${to}\t${id}`;
        times.set(key, (times.get(key) ?? 0) + 1);
        letters?.take(to, message.bytes);
        // Copied: the bytes are a view into a read buffer that would be kept alive as a whole.
        if (tally.samples.length < SAMPLES) tally.samples.push({ to, bytes: Buffer.from(message.bytes) });
      }
    },
    async report(folder) {
      await mkdir(folder, { recursive: true });
      const file = join(folder, "received.tsv");
      await writeTimes(file, times);
      const samples: { host: string; to: string; file: string }[] = [];
      for (const [host, tally] of hosts) {
        for (const [i, sample] of tally.samples.entries()) {
          const path = join(folder, `${host}-${i + 1}.eml`);
          await writeFile(path, sample.bytes);
          samples.push({ host, to: sample.to, file: path });
        }
      }
      const tallies = [...hosts].map(([host, { messages, bytes, overTls }]) => ({ host, messages, bytes, overTls }));
      const whole = join(folder, "letters");
      return { hosts: tallies, file, samples, letters: { file: whole, kept: (await letters?.write(whole)) ?? [] } };
    },
  };
}

async function writeTimes(file: string, times: ReadonlyMap<string, number>): Promise<void> {
  const stream = createWriteStream(file);
  let block = "";
  for (const [key, count] of times) {
    block += `${key}\t${count}\n`;
    if (block.length < 65_536) continue;
    if (!stream.write(block)) await new Promise((resolve) => stream.once("drain", resolve));
    block = "";
  }
  stream.end(block);
  await finished(stream);
}

/** '' when it has none: then all such messages of a recipient count as one and the same, which is what a check wants to see. */
function messageId(bytes: Buffer): string {
  const end = bytes.indexOf("\r\n\r\n");
  const header = bytes.toString("latin1", 0, end < 0 ? bytes.length : end + 2);
  return /^message-id:\s*(\S+)/im.exec(header)?.[1] ?? "";
}
