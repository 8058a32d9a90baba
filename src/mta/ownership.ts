/**
 * The name of this mta, held while the process lives: claimed before anything of that name is taken up, seen four times a lease, given
 * back at the end. A holder that is dead is waited for; one that is alive is two machines of one name, and that is a fault.
 */
import type { Clock, Timer } from "../base/clock.ts";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import { claimOwner, releaseOwner, seenOwner } from "../db/owners.ts";
import type { Sql } from "../db/sql.ts";

const AGAIN_MS = 1000;

export interface OwnershipDeps {
  readonly sql: Sql;
  readonly owner: string;
  readonly identity: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the wait for the name. */
  readonly signal: AbortSignal;
}

export interface Ownership {
  /** Never rejects: a name that cannot be given back is free a lease later. */
  close(): Promise<void>;
}

/** Resolves when the name is ours. Fault OWNER_TAKEN when another process has it and lives. */
export async function openOwnership(deps: OwnershipDeps): Promise<Ownership> {
  const { sql, owner, identity, leaseMs, clock, log } = deps;
  await claim(deps);
  let closed = false;
  let timer: Timer | null = null;

  async function beat(): Promise<void> {
    try {
      await seenOwner(sql, owner, identity);
    } catch (error) {
      if (closed) return;
      // Nothing may go on under this name: uncaught, it ends the process, whose next one waits for the name or says that it is taken.
      if (error instanceof Fault) throw error;
      log.warn({ owner, err: error }, "cannot tell the database that this mta is alive");
    }
    plan();
  }
  function plan(): void {
    if (!closed) timer = clock.after(leaseMs / 4, () => void (beating = beat()));
  }

  let beating: Promise<void> = Promise.resolve();
  plan();
  return {
    async close() {
      closed = true;
      timer?.cancel();
      try {
        // One at work would take the name again after it was given back.
        await beating;
        await releaseOwner(sql, owner, identity);
      } catch (error) {
        log.warn({ owner, err: error }, "the name of this mta could not be given back");
      }
    },
  };
}

async function claim({ sql, owner, identity, leaseMs, clock, log, signal }: OwnershipDeps): Promise<void> {
  const began = clock.monotonic();
  let holder = await claimOwner(sql, owner, identity, leaseMs);
  if (holder === "") return;
  const first = holder;
  log.warn({ owner, waitMs: leaseMs }, `${holder}: waiting whether it is dead`);
  while (holder !== "") {
    // The sentence says when it was last seen: when it changes, the other lives. The watchdog's patience (`readyMs`) may end before the lease.
    if (holder !== first || clock.monotonic() - began > leaseMs + AGAIN_MS || signal.aborted)
      throw new Fault("OWNER_TAKEN", holder);
    await pause(clock, signal);
    holder = await claimOwner(sql, owner, identity, leaseMs);
  }
}

function pause(clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(AGAIN_MS, done);
    signal.addEventListener("abort", done, { once: true });
  });
}
