/**
 * The state of a delivery, changed by the one who commands it. Each change is one statement on one row that says from which states it is
 * allowed; asked for again it changes nothing and is no error. Machines learn of it by NOTIFY at commit.
 */
import type { DeliveryState } from "../model/delivery.ts";
import { CHANNELS } from "./sql.ts";
import type { AnySql } from "./sql.ts";

export const COMMANDS = ["start", "pause", "resume", "stop"] as const;
export type Command = (typeof COMMANDS)[number];

export type Changed =
  | { readonly kind: "done"; readonly state: DeliveryState }
  | { readonly kind: "absent" }
  /** `why` is a sentence without a full stop. */
  | { readonly kind: "refused"; readonly why: string };

/** From which states a command leads on, and in which there is nothing to do. */
const FROM: Readonly<Record<Command, { from: readonly DeliveryState[]; already: readonly DeliveryState[] }>> = {
  start: { from: ["draft"], already: ["ready", "sending"] },
  pause: { from: ["ready", "sending"], already: ["paused"] },
  resume: { from: ["paused"], already: ["ready", "sending"] },
  stop: { from: ["draft", "ready", "sending", "paused"], already: ["stopped"] },
};

/** Carries out a command. `reason` and who gave it (`by`) are kept with the delivery. Call it inside or outside of a transaction. */
export async function changeState(
  sql: AnySql,
  id: number,
  command: Command,
  reason: string,
  by: string,
): Promise<Changed> {
  const { from, already } = FROM[command];
  const sending = sql`case when not_before > now() then 'ready' else 'sending' end`;
  const set = {
    start: sql`state = ${sending}, started_at = now(),
      deadline = least(greatest(now(), not_before) + validity * interval '1 s', not_after)`,
    pause: sql`state = 'paused'`,
    resume: sql`state = ${sending}`,
    stop: sql`state = 'stopped', finished_at = now()`,
  }[command];
  const allowed =
    command === "start"
      ? sql`exists (select 1 from part where delivery_id = ${id}) and coalesce(not_after > now(), true)`
      : sql`true`;
  const changed = await sql<{ state: DeliveryState }[]>`
    with changed as (
      update delivery set ${set}, state_reason = ${reason}, commanded_by = ${by}, commanded_at = now()
      where id = ${id} and state = any(${from as DeliveryState[]}) and ${allowed}
      returning id, state
    )
    select state, pg_notify(${CHANNELS.delivery}, id || ' ' || state),
      case when state = 'sending' then pg_notify(${CHANNELS.work}, id::text) end
    from changed`;
  if (changed[0] !== undefined) return { kind: "done", state: changed[0].state };

  const [row] = await sql<{ state: DeliveryState; late: boolean }[]>`
    select state, coalesce(not_after <= now(), false) as late from delivery where id = ${id}`;
  if (row === undefined) return { kind: "absent" };
  if (already.includes(row.state)) return { kind: "done", state: row.state };
  if (command === "start" && row.state === "draft") {
    return { kind: "refused", why: row.late ? "its notAfter has passed" : "it has no recipients" };
  }
  if (command === "start" && row.state === "paused") return { kind: "refused", why: "it is paused: resume it" };
  return { kind: "refused", why: `it is ${row.state}` };
}
