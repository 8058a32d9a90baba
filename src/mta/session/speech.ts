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
  /** A dot without message. */
  dot(): void;
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

  function awaited(step: Step, job: Job | null): Slot {
    const slot: Slot = { step, job, handed: false };
    slots.push(slot);
    wire.mark(slot);
    return slot;
  }
  function say(command: string, step: Step, job: Job | null): void {
    wire.command(command);
    awaited(step, job);
  }
  /** MAIL, RCPT and `last` in one piece. */
  function together(job: Job, reset: boolean, last: string): void {
    resetDue = false;
    const commands = mailCommand(job.message, offered) + rcptCommand(job.message, offered, dsn) + last;
    wire.command(reset ? RESET + commands : commands);
    if (reset) awaited("reset", null);
    awaited("mail", job);
    awaited("rcpt", job);
  }
  const bdat = (job: Job): string => `BDAT ${job.message.bytes.length} LAST\r\n`;
  const mail = (job: Job): void => say(mailCommand(job.message, offered), "mail", job);

  return {
    needsReset() {
      resetDue = true;
    },
    envelope(job) {
      together(job, resetDue, "DATA\r\n");
      awaited("data", job);
    },
    stream(job, behind) {
      together(job, resetDue || behind, bdat(job));
      // Behind the marks: a body of many blocks does not keep MAIL and RCPT from counting as written.
      wire.body(job.message.bytes);
      job.dot = awaited("dot", job);
    },
    body(job) {
      wire.body(job.message.bytes);
      wire.command(".\r\n");
      job.dot = awaited("dot", job);
    },
    dot: () => say(".\r\n", "void", null),
    first(job) {
      if (!resetDue) return mail(job);
      resetDue = false;
      say(RESET, "reset", job);
    },
    mail,
    rcpt: (job) => say(rcptCommand(job.message, offered, dsn), "rcpt", job),
    data: (job) => say("DATA\r\n", "data", job),
    chunk(job) {
      wire.command(bdat(job));
      wire.body(job.message.bytes);
      job.dot = awaited("dot", job);
    },
    quit: () => say("QUIT\r\n", "quit", null),
  };
}
