/**
 * Messages over a session that is ready: which commands go out when, and which reply belongs to what.
 *
 * Three ways, by what the server offers:
 * - PIPELINING and CHUNKING ("streaming"): MAIL, RCPT, BDAT LAST and the body leave together; `pipelineDepth` messages are in flight.
 *   A message that leaves behind one without answer begins with RSET: had the first one's RCPT been refused, its transaction would still
 *   be open, and some servers would take the second message's RCPT into it, under the first one's sender.
 * - PIPELINING: MAIL RCPT DATA leave together; after 354 the body and its dot leave with the next message's MAIL RCPT DATA (RFC 2920
 *   §3.1), so a message costs one round trip. Two messages are in flight.
 * - neither: a command at a time, one message.
 *
 * Replies come in the order of commands, so `slots` is a queue and its first is answered next. A reply when no command has left,
 * or of a kind that cannot be, means that the two sides disagree on where they are: the connection is cut, never guessed about.
 */
import type { Clock } from "../../base/clock.ts";
import type { SmtpSettings } from "../../config/settings.ts";
import { outcome, type Outcome, type Stage } from "../../model/outcome.ts";
import type { Capabilities } from "../../smtp/capabilities.ts";
import { replyText, type Reply } from "../../smtp/reply.ts";
import type { Session, SessionEvents, SessionTarget } from "../session-contract.ts";
import { refusedLocally } from "./envelope.ts";
import {
  causeOf,
  causeSaid,
  openJobs,
  stageOfStep,
  STEP_NAMES,
  type Cause,
  type Job,
  type Slot,
  type Step,
} from "./jobs.ts";
import { openSpeech } from "./speech.ts";
import type { Wire } from "./wire.ts";

export interface FlowDeps {
  readonly clock: Clock;
  readonly target: SessionTarget;
  readonly settings: SmtpSettings;
  readonly offered: Capabilities;
  readonly events: SessionEvents;
}

/** A server that does not answer QUIT is not waited for. */
const QUIT_MS = 5_000;

export function openFlow(wire: Wire, { clock, target, settings, offered, events }: FlowDeps): Session {
  const { pipelining } = offered;
  const chunking = offered.chunking && settings.chunking;
  const streaming = pipelining && chunking;
  const depth = streaming ? settings.pipelineDepth : pipelining ? 2 : 1;
  const jobs = openJobs(wire, target, clock);
  const slots: Slot[] = [];
  const say = openSpeech(wire, slots, offered, settings.dsn);
  const waiting: Job[] = [];
  /** Whose turn it is to be written: others wait until its dot is queued (or, without PIPELINING, answered). */
  let current: Job | null = null;
  /** Its permit is being asked for. */
  let asking: Job | null = null;
  let watched: Slot | null = null;
  let closing = false;
  let ended = false;
  let changed = false;

  // ── out ──

  function begin(): void {
    while (current === null && !ended) {
      const job = waiting.shift();
      if (job === undefined) break;
      current = job;
      job.startedAt = clock.monotonic();
      if (streaming) permitted(job, () => chunk(job));
      else if (pipelining) say.envelope(job);
      else say.first(job);
    }
    if (closing && !ended && jobs.open.length === 0 && slots.length === 0) say.quit();
  }

  function chunk(job: Job): void {
    say.stream(job, jobs.open[0] !== job || slots.length > 0);
    current = null;
  }

  function body(job: Job): void {
    say.body(job);
    if (pipelining) current = null;
    begin();
  }

  /** Asks for the journal's intent; usually the answer is there at once and nothing is waited for. */
  function permitted(job: Job, go: () => void): void {
    let answer: boolean | Promise<boolean>;
    try {
      answer = events.permit(job.message);
    } catch {
      answer = false; // the contract: whatever goes wrong there, the message must not leave
    }
    if (answer === true) return go();
    if (answer === false) return forbidden(job);
    asking = job;
    const answered = (yes: boolean): void => {
      if (ended) return;
      asking = null;
      if (yes) go();
      else forbidden(job);
      begin();
      turn();
    };
    answer.then(answered, () => answered(false));
  }

  function forbidden(job: Job): void {
    const cause = causeSaid("held back before the final dot");
    jobs.settle(job, "unreachable", "local", cause);
    // Behind DATA only a cut keeps the message from being taken. A chunk that was not begun harms nobody: what is in flight is awaited.
    if (!streaming) return cut(causeSaid("cut: the message before was held back"));
    closing = true;
    changed = true;
    current = null;
    for (const next of waiting.splice(0)) jobs.settle(next, "unreachable", "mail", cause);
  }

  // ── in ──

  function reply(got: Reply): void {
    const slot = slots[0];
    if (slot === undefined || !slot.handed) return early(got, slot);
    const kind = Math.floor(got.code / 100);
    const { job, step: at } = slot;
    if (!fits(at, kind)) return cut(odd(got), job);
    slots.shift();
    changed = true;
    // RFC 5321 §3.8: 421 may answer any command, and the server then closes.
    if (got.code === 421 || at === "quit") {
      if (job !== null && at !== "reset") jobs.refuse(job, stageOfStep(at), got);
      return cut(causeOf(got), job);
    }
    if (job === null) return begin(); // RSET between messages; or a lone dot, whose message has had its outcome
    if (kind >= 4) {
      jobs.refuse(job, stageOfStep(at), got);
      return refused(at, job);
    }
    if (at === "data") return job.settled ? loneDot(job) : permitted(job, () => body(job));
    if (at === "dot") {
      if (!job.settled) jobs.accept(job, got);
      return finished(job);
    }
    if (at === "mail") job.open = true;
    if (pipelining) return;
    if (at === "reset") say.mail(job);
    else if (at === "mail") say.rcpt(job);
    else if (chunking) permitted(job, () => say.chunk(job));
    else say.data(job);
  }

  /** Whether a step can have a reply of 2yz, 3yz, 4yz or 5yz at all. */
  function fits(at: Step, kind: number): boolean {
    if (at === "reset") return kind === 2;
    if (at === "void" || at === "quit") return true;
    return kind >= 4 || kind === (at === "data" ? 3 : 2);
  }

  /** A command of the message was refused, the message has its outcome: with PIPELINING the rest of its replies still comes. */
  function refused(at: Step, job: Job): void {
    if (pipelining && at !== "data" && at !== "dot") return;
    // A dot ends the transaction whatever the answer (RFC 5321 §4.1.1.4); for a refused chunk not all servers agree.
    if (job.open && (at !== "dot" || chunking)) say.needsReset();
    finished(job);
  }

  /** RFC 2920 §3.1: 354 although the recipient was refused. A dot alone takes the server out of it; its answer means nothing. */
  function loneDot(job: Job): void {
    say.dot(job);
    current = null;
    begin();
  }

  function finished(job: Job): void {
    if (current === job) current = null;
    begin();
  }

  /** A reply although nothing was asked, or the asking has not left yet. */
  function early(got: Reply, slot: Slot | undefined): void {
    const job = slot === undefined && !streaming ? asking : slot?.step === "dot" ? slot.job : null;
    // A refusal while the message is on its way decides it; there is no knowing what the server makes of the rest, so that is all.
    if (got.code >= 400 && job !== null) jobs.refuse(job, "body", got);
    cut(odd(got), job);
  }

  /** Why a session ends with this reply: what the server says when it refuses, else that it makes no sense. */
  const odd = (got: Reply): Cause =>
    got.code >= 400 ? causeOf(got) : causeSaid(`unexpected reply: ${got.code} ${replyText(got)}`.trimEnd());

  // ── time and the end ──

  const timeOf: Readonly<Record<Step, number>> = {
    reset: settings.mailMs,
    mail: settings.mailMs,
    rcpt: settings.rcptMs,
    data: settings.dataMs,
    dot: settings.dotMs,
    void: settings.dotMs,
    quit: QUIT_MS,
  };

  /** The first command that was handed over is waited for: from then, or from the reply before its own. */
  function watch(): void {
    if (ended) return;
    const head = slots[0];
    const next = head?.handed ? head : null;
    if (next === watched) return;
    watched = next;
    wire.expect(next === null ? 0 : timeOf[next.step]);
  }

  function turn(): void {
    watch();
    if (!changed) return;
    changed = false;
    events.change();
  }

  function late(): void {
    const at = watched?.step ?? "mail";
    cut(causeSaid(`no reply to ${STEP_NAMES[at]} within ${timeOf[at] / 1000} s`));
  }

  function stageOf(job: Job): Stage {
    if (job === asking) return streaming ? "mail" : "body";
    const slot = slots.find((waits) => waits.job === job);
    if (slot?.step === "dot" && !slot.handed) return "body";
    return stageOfStep(slot?.step ?? "mail");
  }

  function cut(cause: Cause, about: Job | null = null): void {
    if (ended) return;
    ended = true;
    closing = true;
    wire.destroy();
    jobs.abandon(cause, stageOf, about);
    slots.length = 0;
    waiting.length = 0;
    events.change();
  }

  const of = (): number => slots[0]?.of ?? asking?.message.id ?? 0;
  wire.listen({ of, reply, turn, handed: watch, late, lost: (text) => cut(causeSaid(text)) });
  const room = (): number => (closing ? 0 : Math.max(0, depth - jobs.open.length));

  return {
    target,
    get room() {
      return room();
    },
    get inFlight() {
      return jobs.open.length;
    },
    get settled() {
      return jobs.settled;
    },
    get ended() {
      return ended;
    },
    submit(message) {
      const refusal = refusedLocally(message, offered);
      if (refusal !== null) return Promise.resolve(localOutcome(refusal.kind, refusal.enhanced, refusal.text));
      if (room() === 0) return Promise.resolve(localOutcome("unreachable", "", "the session has no room"));
      const result = jobs.add(message);
      waiting.push(jobs.open.at(-1)!);
      begin();
      return result;
    },
    quit() {
      if (!closing) {
        closing = true;
        begin();
      }
      return wire.closed;
    },
    destroy: () => cut(causeSaid("the session was cut")),
  };

  function localOutcome(kind: Outcome["kind"], enhanced: string, text: string): Outcome {
    const { mx, ip: remoteIp, publicId } = target;
    return outcome(kind, "local", { enhanced, text, mx, remoteIp, publicId, tls: wire.tls });
  }
}
