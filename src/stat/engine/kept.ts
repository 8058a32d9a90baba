/**
 * What is kept for a member: how far it may come without asking, if the server were gone for it this moment. For one that is there and has
 * acknowledged what it was told that is its stakes; for every other one its whole share, whatever it was told. See shares.ts.
 */
import { DAY, type Window } from "../../quota/counter.ts";
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
    return stake < 0 ? 0 : Math.floor(limit / (members * 2 ** stake));
  }
  let most = 0;
  if (start < member.activeUntil && members > 0 && (part !== null || window !== DAY))
    most = Math.floor(limit / members);
  if (start < member.gapEnd) most = Math.max(most, 1, Math.floor(limit / books.gapMembers));
  return most;
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
