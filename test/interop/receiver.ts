/** A real mail server as the tests of interoperability use it, and what it delivered. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export interface Receiver {
  readonly name: string;
  /** On 127.0.0.1. */
  readonly port: number;
  /** A folder with one file for each delivered message. */
  readonly mailbox: string;
  /** Its log, for who wants to know why. */
  readonly log: string;
  close(): Promise<void>;
}

/** Every delivered message with CRLF lines: maildirs keep the line ends of the system. A missing folder is an empty one. */
export async function delivered(receiver: Receiver): Promise<Buffer[]> {
  const names = await readdir(receiver.mailbox).catch(() => []);
  const files = await Promise.all(names.sort().map((name) => readFile(join(receiver.mailbox, name), "latin1")));
  return files.map((text) => Buffer.from(text.replaceAll(/\r?\n/g, "\r\n"), "latin1"));
}
