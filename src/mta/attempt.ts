/**
 * After an attempt: settle() says what the outcome means, this carries it out: recorded, moved to another path, or given back.
 * Also the permission before the dot: the lease must be ours for certain and the intent must be in the journal.
 */
import type { Clock } from "../base/clock.ts";
import type { Outcome } from "../model/outcome.ts";
import type { Judge } from "../model/reason.ts";
import { settle } from "../model/settle.ts";
import { type Held, mayGo, placeOf } from "./held.ts";
import type { Journal } from "./journal.ts";
import type { Lane } from "./lane-contract.ts";
import type { Recorder } from "./recorder.ts";

/** After a hold on our own side (journal, lease) a message waits this long, so that a full disk does not spin. */
const HOLD_MS = 2000;

export interface Attempts {
  finish(held: Held, outcome: Outcome, lane: Lane | null, deliveredBefore: number, final: boolean): void;
  /** SessionEvents.permit by message id. */
  permit(messageId: number): Promise<boolean>;
  /** A message is on its way to a session: permit() will ask for it. */
  expect(held: Held): void;
}

export interface AttemptDeps {
  readonly clock: Clock;
  readonly random: () => number;
  readonly journal: Journal;
  readonly recorder: Recorder;
  /** The bounce rules in force. */
  readonly judge: Judge;
  /** True while this process may be sure that its leases hold. */
  leaseHolds(): boolean;
  /** Our own side forbids sending: what waits in lanes goes back until `at` (epoch ms), or each message would cost its site a connection. */
  standStill(at: number): void;
}

export function openAttempts(deps: AttemptDeps): Attempts {
  const { clock, journal, recorder } = deps;
  const expected = new Map<number, Held>();

  return {
    expect: (held) => void expected.set(held.id, held),
    async permit(id) {
      const held = expected.get(id);
      if (held === undefined || !mayGo(held) || !deps.leaseHolds()) return false;
      if (!(await journal.intend(placeOf(held)))) return false;
      // Asked again: the process may have been suspended between the two, and then the dot is another's to write.
      return mayGo(held) && deps.leaseHolds();
    },
    finish(held, outcome, lane, deliveredBefore, final) {
      expected.delete(held.id);
      const { delivery } = held.part;
      const settlement = settle(
        outcome,
        {
          attempts: held.attempts,
          moves: final ? Number.POSITIVE_INFINITY : held.moves,
          deliveredBefore,
          retry: delivery.retry,
          deadline: delivery.deadline,
          inDoubt: delivery.inDoubt,
        },
        clock.now(),
        deps.random(),
        deps.judge,
      );
      if (settlement.next === "record") return recorder.settle(held, outcome, settlement);
      // A chunk's intent is written before its MAIL: what was refused or cut before it left is not in doubt.
      journal.retract(held.id);
      const at = clock.now() + HOLD_MS;
      // Not moved either: on the next session it would be cut off with its neighbour again, and the third time would count as an attempt.
      const standing = !journal.writable || !deps.leaseHolds();
      if (standing) deps.standStill(at);
      if (standing || settlement.next === "hold" || lane === null || !mayGo(held)) recorder.giveBack(held, at);
      else {
        held.moves++;
        lane.enqueue(held);
      }
    },
  };
}
