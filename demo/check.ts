/**
 * The demo's judgement: three accounts of one delivery are held against each other: what must happen (each recipient's fate), what the
 * ledger says, and what the exchangers have. Pure: it is given all three and returns every disagreement as a sentence.
 */
import type { Counters } from "../src/model/delivery.ts";

/** A recipient as submitted, and where it must end. */
export interface Expected {
  readonly status: "sent" | "failed" | "excluded";
  /** Of failed and excluded, '' for sent. */
  readonly reason: string;
}

/** A message as the ledger has it. */
export interface Booked {
  readonly id: number;
  readonly status: string;
  readonly reason: string;
  readonly attempts: number;
}

/** By address: how often each of its Message-IDs came. */
export type Arrivals = ReadonlyMap<string, readonly number[]>;

export interface Accounts {
  readonly expected: ReadonlyMap<string, Expected>;
  readonly ledger: ReadonlyMap<string, Booked>;
  readonly arrivals: Arrivals;
  readonly counters: Counters;
  /** Of the addresses with something to explain, those whose message the ledger has recorded in doubt at some time. */
  readonly doubted: ReadonlySet<string>;
}

export interface Judgement {
  /** Sent by the ledger and nowhere to be found, or accepted and without a final status. */
  readonly lost: number;
  /** Came twice and were never in doubt. */
  readonly duplicates: number;
  /** Came twice because they had been in doubt: allowed, and said. */
  readonly duplicatesInDoubt: number;
  readonly deferredThenSent: number;
  readonly failedByReason: ReadonlyMap<string, number>;
  /** One sentence for each disagreement; the first of each kind carries an example. Empty: all is well. */
  readonly complaints: readonly string[];
}

const FINAL = new Set(["sent", "failed", "excluded", "cancelled", "bounced", "in-doubt"]);

export function judge(accounts: Accounts): Judgement {
  const { expected, ledger, arrivals, doubted } = accounts;
  const found = new Map<string, string[]>();
  const complain = (kind: string, example: string): void => {
    const examples = found.get(kind);
    if (examples === undefined) found.set(kind, [example]);
    else examples.push(example);
  };
  const lost = new Set<string>();
  let duplicates = 0;
  let duplicatesInDoubt = 0;
  let deferredThenSent = 0;
  const failedByReason = new Map<string, number>();

  for (const [address, want] of expected) {
    const booked = ledger.get(address);
    if (booked === undefined || !FINAL.has(booked.status)) {
      lost.add(address);
      complain("accepted and without a final status", `${address} ${booked?.status ?? "not in the ledger"}`);
      continue;
    }
    const reason = booked.reason.split(":", 1)[0] ?? "";
    if (booked.status === "failed") failedByReason.set(reason, (failedByReason.get(reason) ?? 0) + 1);
    if (booked.status === "sent" && booked.attempts > 1) deferredThenSent++;
    if (booked.status !== want.status || (want.status === "failed" && reason !== want.reason)) {
      complain(
        `should be ${want.status} ${want.reason}`.trim(),
        `${address} is ${booked.status} ${booked.reason}`.trim(),
      );
    }
    if (booked.status === "sent" && !arrivals.has(address)) {
      lost.add(address);
      complain("sent, says the ledger, and no exchanger has it", address);
    }
  }
  for (const [address, times] of arrivals) {
    const booked = ledger.get(address);
    if (booked?.status !== "sent" && !doubted.has(address)) {
      complain(
        "has arrived, and the ledger does not call it sent",
        `${address} ${booked?.status ?? "not in the ledger"}`,
      );
    }
    const surplus = times.reduce((sum, count) => sum + count, 0) - 1;
    if (surplus > 0 && doubted.has(address)) duplicatesInDoubt += surplus;
    else if (surplus > 0) {
      duplicates += surplus;
      complain("has arrived more than once and never was in doubt", address);
    }
  }
  for (const address of ledger.keys()) {
    if (!expected.has(address)) complain("is in the ledger and was never submitted", address);
  }
  for (const sentence of countersOff(accounts)) complain("the counters do not add up", sentence);
  const complaints = [...found].map(([kind, examples]) => `${examples.length} × ${kind} (${examples[0]})`);
  return {
    lost: lost.size,
    duplicates,
    duplicatesInDoubt,
    deferredThenSent,
    failedByReason,
    complaints,
  };
}

/** Addresses that only a recorded doubt can explain: they have mail twice, or mail that the ledger does not call sent. */
export function unexplained({ ledger, arrivals }: Pick<Accounts, "ledger" | "arrivals">): string[] {
  return [...arrivals].flatMap(([to, times]) => {
    const once = times.length === 1 && times[0] === 1;
    return once && ledger.get(to)?.status === "sent" ? [] : [to];
  });
}

/** The counters against themselves and against the rows. */
function countersOff({ counters, expected, ledger }: Accounts): string[] {
  const { pending, deferred, sent, failed, bounced, excluded, cancelled, inDoubt } = counters;
  const sum = pending + deferred + sent + failed + bounced + excluded + cancelled + inDoubt;
  const off: string[] = [];
  if (sum !== counters.accepted) off.push(`accepted is ${counters.accepted}, the others sum up to ${sum}`);
  if (counters.accepted !== expected.size)
    off.push(`accepted is ${counters.accepted}, submitted were ${expected.size}`);
  const rows = new Map<string, number>();
  for (const { status } of ledger.values()) rows.set(status, (rows.get(status) ?? 0) + 1);
  for (const [status, count] of Object.entries({ pending, deferred, sent, failed, excluded })) {
    if ((rows.get(status) ?? 0) !== count) off.push(`${status} is ${count}, rows with it are ${rows.get(status) ?? 0}`);
  }
  return off;
}
