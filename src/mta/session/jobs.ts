/**
 * The messages of a session that have no outcome yet, and how each gets its one outcome: by a reply that decides, or by the end of the
 * connection, which leaves in doubt exactly those whose last octets were given to the socket.
 */
import type { Clock } from "../../base/clock.ts";
import type { Outcome, OutcomeKind, Stage } from "../../model/outcome.ts";
import { enhancedCode, replyText, type Reply } from "../../smtp/reply.ts";
import type { SessionTarget, WireMessage } from "../session-contract.ts";
import type { Mark } from "./outbox.ts";
import type { Wire } from "./wire.ts";

/** What a reply answers. `reset`, `void` (a dot without message) and `quit` belong to no message. */
export type Step = "reset" | "mail" | "rcpt" | "data" | "dot" | "void" | "quit";

/** A command in flight: its reply is the next one when it is the first of them. */
export interface Slot extends Mark {
  readonly step: Step;
  readonly job: Job | null;
  /** Id of the message in whose transcript the reply belongs, also where it means nothing for it; 0: in none of them alone. */
  readonly of: number;
}

export interface Job {
  readonly message: WireMessage;
  readonly resolve: (outcome: Outcome) => void;
  /** When its first command was said (monotonic), 0 before. */
  startedAt: number;
  settled: boolean;
  /** MAIL was accepted, so the server has a transaction open until a dot or RSET. */
  open: boolean;
  /** Its final dot or last chunk. */
  dot: Slot | null;
}

/** Why a message has its outcome. */
export interface Cause {
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
}

export interface Jobs {
  /** Without outcome, oldest first. */
  readonly open: readonly Job[];
  /** Dots answered. */
  readonly settled: number;
  add(message: WireMessage): Promise<Outcome>;
  accept(job: Job, reply: Reply): void;
  /** 4yz or 5yz. */
  refuse(job: Job, stage: Stage, reply: Reply): void;
  settle(job: Job, kind: OutcomeKind, stage: Stage, cause: Cause): void;
  /**
   * The connection is gone: everything without outcome gets it. `stageOf` is asked for those that were not handed over. `about`: the
   * message that the reply which is the cause was about; what it says of its addresses is not for the others.
   */
  abandon(cause: Cause, stageOf: (job: Job) => Stage, about: Job | null): void;
}

const NO_LINES: readonly string[] = Object.freeze([]);

export function openJobs(wire: Wire, target: SessionTarget, clock: Clock): Jobs {
  const open: Job[] = [];
  let settled = 0;

  function settle(job: Job, kind: OutcomeKind, stage: Stage, cause: Cause): void {
    if (job.settled) return;
    job.settled = true;
    open.splice(open.indexOf(job), 1);
    job.resolve({
      kind,
      stage,
      code: cause.code,
      enhanced: cause.enhanced,
      text: cause.text,
      mx: target.mx,
      remoteIp: target.ip,
      publicId: target.publicId,
      tls: wire.tls,
      latencyMs: job.startedAt === 0 ? 0 : Math.round(clock.monotonic() - job.startedAt),
      transcript: kind === "accepted" ? NO_LINES : wire.transcript.lines(job.message.id),
    });
  }

  return {
    open,
    get settled() {
      return settled;
    },
    add(message) {
      return new Promise((resolve) => {
        open.push({ message, resolve, startedAt: 0, settled: false, open: false, dot: null });
      });
    },
    accept(job, reply) {
      settled++;
      settle(job, "accepted", "dot", causeOf(reply));
    },
    refuse(job, stage, reply) {
      if (stage === "dot" && !job.settled) settled++;
      settle(job, reply.code >= 500 ? "rejected" : "deferred", stage, causeOf(reply));
    },
    settle,
    abandon(cause, stageOf, about) {
      const forOthers = about === null ? cause : { ...cause, text: without(cause.text, about.message) };
      for (let job = open[0]; job !== undefined; job = open[0]) {
        const told = job === about ? cause : forOthers;
        if (job.dot?.handed) settle(job, "in-doubt", "dot", told);
        else settle(job, "unreachable", stageOf(job), told);
      }
    },
  };
}

/** The text without the addresses of a message. */
function without(text: string, { from, to }: WireMessage): string {
  for (const address of [to, from])
    if (address !== "") text = text.replaceAll(new RegExp(RegExp.escape(address), "gi"), "another recipient");
  return text;
}

export function causeOf(reply: Reply): Cause {
  return { code: reply.code, enhanced: enhancedCode(reply), text: replyText(reply) };
}

export function causeSaid(text: string): Cause {
  return { code: 0, enhanced: "", text };
}

/** For "no reply to …". */
export const STEP_NAMES: Readonly<Record<Step, string>> = {
  reset: "RSET",
  mail: "MAIL",
  rcpt: "RCPT",
  data: "DATA",
  dot: "the final dot",
  void: "a dot without message",
  quit: "QUIT",
};

export function stageOfStep(step: Step): Stage {
  if (step === "reset" || step === "quit") return "mail";
  return step === "void" ? "dot" : step;
}
