/**
 * What is kept for a member: how far it may come without asking, if the server were gone for it this moment. For one that is there and has
 * acknowledged what it was told that is its stakes; for every other one its whole share, whatever it was told. See shares.ts.
 */
import { DAY, DAY_PARTS, type Window } from "../../quota/counter.ts";
import type { Books, Member, Part } from "./books.ts";

/** The larger of what is acknowledged and what was told: -1 none. */
export function stakeOf(part: Part): number {
  if (part.seq === 0 || part.halvings === part.next) return part.halvings;
  if (part.halvings < 0) return part.next;
  return part.next < 0 ? part.halvings : Math.min(part.halvings, part.next);
}

/** What its share is of, at its largest; 0: none. */
export function membersOf({ members, membersNext }: Member): number {
  return members === 0 ? membersNext : membersNext === 0 ? members : Math.min(members, membersNext);
}

/** What a member may come to in a window without asking. `part` is null where it has none. */
export function kept(
  books: Books,
  member: Member,
  part: Part | null,
  window: Window,
  limit: number,
  start: number,
): number {
  const members = membersOf(member);
  if (member.state === "live" && member.settled) {
    if (part === null || members === 0) return 0;
    const stake = stakeOf(part);
    return stake < 0 ? 0 : allowance(part, window, limit, members * 2 ** stake);
  }
  let most = 0;
  if (start < member.activeUntil && members > 0 && (part !== null || window !== DAY))
    most = allowance(part, window, limit, members);
  if (start < member.gapEnd) most = Math.max(most, gate(window, limit, books.gapMembers));
  return most;
}

/** The share of a window; of a day, a part of it beyond what was granted: without a server it goes on for minutes, not for a day. */
export function allowance(part: Part | null, window: Window, limit: number, divisor: number): number {
  return window === DAY
    ? (part?.used[DAY] ?? 0) + Math.floor(limit / (divisor * DAY_PARTS))
    : Math.floor(limit / divisor);
}

/** Messages a member may be granted beyond what is stored: this part of its share of minute, period and day. */
const GATES = [2, 4, 50] as const;

export function gate(window: Window, limit: number, members: number): number {
  return Math.max(1, Math.floor(limit / (members * GATES[window])));
}

/** Connections that count as taken by a member: those it holds, or may open without asking. */
export function keptConns(books: Books, member: Member, part: Part | null, limit: number): number {
  const held = part?.conns ?? 0;
  const members = membersOf(member);
  if (member.state === "dead" || member.state === "gone") return 0;
  if (member.state === "live" && member.settled) {
    if (part === null || members === 0) return held;
    const stake = stakeOf(part);
    return Math.max(held, stake < 0 ? 0 : Math.floor(limit / (members * 2 ** stake)));
  }
  const share = members > 0 ? Math.floor(limit / members) : 0;
  return Math.max(share, held + (member.gapEnd > 0 ? Math.floor(limit / books.gapMembers) : 0));
}
