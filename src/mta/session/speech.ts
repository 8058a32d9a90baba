/**
 * What is said for a message, in the pieces `flow` needs: each command goes to the wire and its reply into the queue of those awaited.
 */
import type { SmtpSettings } from "../../config/settings.ts";
import type { Capabilities } from "../../smtp/capabilities.ts";
import { mailCommand, rcptCommand } from "./envelope.ts";
import type { Job, Slot, Step } from "./jobs.ts";
import type { Wire } from "./wire.ts";

export interface Speech {
  /** The server may have a transaction open that failed: the next message begins with RSET. */
  needsReset(): void;
  /** MAIL RCPT DATA at once. */
  envelope(job: Job): void;
  /** MAIL RCPT BDAT and the body at once; `behind` others that have no answer yet, with RSET. */
  stream(job: Job, behind: boolean): void;
  /** The body and its dot, behind 354. */
  body(job: Job): void;
  /** A dot without message: that of this one, which has its outcome. */
  dot(job: Job): void;
  /** One command at a time: MAIL, or RSET if need be. */
  first(job: Job): void;
  mail(job: Job): void;
  rcpt(job: Job): void;
  data(job: Job): void;
  /** BDAT and the body. */
  chunk(job: Job): void;
  quit(): void;
}

const RESET = "RSET\r\n";

/** `slots` is filled here and emptied by the reader of replies. */
export function openSpeech(wire: Wire, slots: Slot[], offered: Capabilities, dsn: SmtpSettings["dsn"]): Speech {
  let resetDue = false;

  function awaited(step: Step, job: Job | null, of: number): Slot {
    const slot: Slot = { step, job, of, handed: false };
    slots.push(slot);
    wire.mark(slot);
    return slot;
  }
  function say(command: string, step: Step, job: Job | null, of = job?.message.id ?? 0): void {
    wire.command(command, of);
    awaited(step, job, of);
  }
  /** MAIL, RCPT and `last` in one piece. */
  function together(job: Job, reset: boolean, last: string): void {
    resetDue = false;
    const { id } = job.message;
    const commands = mailCommand(job.message, offered) + rcptCommand(job.message, offered, dsn) + last;
    wire.command(reset ? RESET + commands : commands, id);
    if (reset) awaited("reset", null, id);
    awaited("mail", job, id);
    awaited("rcpt", job, id);
  }
  const content = ({ message }: Job): void => wire.body(message.bytes, message.id);
  const bdat = (job: Job): string => `BDAT ${job.message.bytes.length} LAST\r\n`;
  const mail = (job: Job): void => say(mailCommand(job.message, offered), "mail", job);

  return {
    needsReset() {
      resetDue = true;
    },
    envelope(job) {
      together(job, resetDue, "DATA\r\n");
      awaited("data", job, job.message.id);
    },
    stream(job, behind) {
      together(job, resetDue || behind, bdat(job));
      // Behind the marks: a body of many blocks does not keep MAIL and RCPT from counting as written.
      content(job);
      job.dot = awaited("dot", job, job.message.id);
    },
    body(job) {
      content(job);
      wire.command(".\r\n", job.message.id);
      job.dot = awaited("dot", job, job.message.id);
    },
    dot: (job) => say(".\r\n", "void", null, job.message.id),
    first(job) {
      if (!resetDue) return mail(job);
      resetDue = false;
      say(RESET, "reset", job);
    },
    mail,
    rcpt: (job) => say(rcptCommand(job.message, offered, dsn), "rcpt", job),
    data: (job) => say("DATA\r\n", "data", job),
    chunk(job) {
      wire.command(bdat(job), job.message.id);
      content(job);
      job.dot = awaited("dot", job, job.message.id);
    },
    quit: () => say("QUIT\r\n", "quit", null),
  };
}
