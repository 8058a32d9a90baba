/**
 * The threads that understand mails: octets in, what they mean out, in their order. Nothing rejects because of a mail: a batch that takes too long or
 * kills its thread is done again one by one, and only the guilty one fails.
 */
import { join } from "node:path";
import type { Log } from "../base/log.ts";
import { openThreads } from "../base/threads.ts";
import type { BounceTable } from "../model/bounce-rules.ts";
import type { MailBytes, UnderstandTask, UnderstoodMail } from "./understand.worker.ts";

/** A batch of 64 takes 60 ms on an idle core; a machine that stands still for a while is no mail's fault. */
const BATCH_MS = 20_000;
const ALONE_MS = 10_000;

export interface UnderstandPool {
  readonly threads: number;
  /** By the rules in force when it is called. */
  understand(mails: readonly MailBytes[]): Promise<UnderstoodMail[]>;
  close(): Promise<void>;
}

export interface UnderstandPoolOptions {
  readonly threads: number;
  readonly log: Log;
  /** The rules in force. */
  table(): BounceTable;
}

export function openUnderstandPool({ threads: count, log, table }: UnderstandPoolOptions): UnderstandPool {
  const threads = openThreads<UnderstandTask, UnderstoodMail[]>(
    join(import.meta.dirname, "understand.worker.ts"),
    count,
  );

  async function alone(task: UnderstandTask, mail: MailBytes): Promise<UnderstoodMail> {
    try {
      const [understood] = await threads.run({ ...task, mails: [mail] }, ALONE_MS);
      return understood ?? { error: "no answer" };
    } catch (error) {
      log.warn({ err: error, bytes: mail.bytes.byteLength }, "a mail cannot be understood");
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }

  return {
    threads: threads.count,
    async understand(mails) {
      const { rules, version } = table();
      const task = { rules, version, mails };
      try {
        return await threads.run(task, BATCH_MS);
      } catch (error) {
        log.warn(
          { err: error, mails: mails.length },
          "a batch of mails could not be understood; they are done one by one",
        );
        const all: UnderstoodMail[] = [];
        for (const mail of mails) all.push(await alone(task, mail));
        return all;
      }
    },
    close: () => threads.close(),
  };
}
