/**
 * What a leading server is made of besides its sockets: made anew each time it takes the lead, so that nothing of an earlier reign is
 * left in it, and thrown away when the lead is lost.
 */
import type { LaneReport } from "../../model/traffic.ts";
import type { PathReport, QueryName, ReplySample } from "../../quota/messages.ts";
import type { Engine, Governor } from "../contract.ts";

export interface Parts {
  readonly engine: Engine;
  readonly governor: Governor;
  /** What the last leader knew has been taken up; nobody has joined yet. */
  begun?(): void;
  /** Who is connected and what they tell, for statistics and questions. None of these may throw for what a member said. */
  joined?(member: string, role: "member" | "observer", now: number): void;
  left?(member: string, now: number): void;
  observe?(member: string, paths: readonly PathReport[], replies: readonly ReplySample[], now: number): void;
  lanes?(member: string, lanes: readonly LaneReport[], now: number): void;
  /** The answer to a query; an Error's message is the answer to one that cannot be answered (quota/answers.ts Refusal). */
  queries(what: QueryName, args: Readonly<Record<string, unknown>>, now: number): unknown;
  /** The lead is over: nothing is called after this. */
  close?(): void;
}

/** `now`: server ms (base/server-time.ts). */
export type OpenParts = (now: () => number) => Parts | Promise<Parts>;
