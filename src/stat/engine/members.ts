/**
 * How many members share everything. The fractions 1 ÷ `members` of all that may still send add up to one at most, whoever knows what: a
 * number that grows (a smaller share) is told at once and counts when acknowledged; one that shrinks, or is the first, is told when there is
 * room for the larger share and a snapshot with it is stored, so that a restored server knows of it.
 */
import type { Books, Member } from "./books.ts";
import { membersOf } from "./kept.ts";
import { fit } from "./shares.ts";

const EPSILON = 1e-9;

export function countMembers(books: Books): number {
  let lost = 0;
  for (const member of books.doubtful) if (member.state === "lost") lost++;
  return books.members.size + lost;
}

/** What its largest share is of: one it has, was told or is about to be told. 0: none. */
export function shareTold(member: Member): number {
  const members = membersOf(member);
  return member.plan > 0 && (members === 0 || member.plan < members) ? member.plan : members;
}

function fraction(member: Member): number {
  const members = shareTold(member);
  return members === 0 ? 0 : 1 / members;
}

/** Sees to it that everybody's share becomes limit ÷ members, as far as it can now. */
export function balance(books: Books): void {
  const target = Math.max(1, countMembers(books));
  let sum = 0;
  for (const member of books.members.values()) sum += fraction(member);
  for (const member of books.doubtful) if (member.state === "lost") sum += fraction(member);
  for (const member of books.members.values()) {
    if (!member.settled || member.membersSeq !== 0) continue;
    if (member.members !== 0 && member.members < target) {
      member.plan = 0;
      member.membersNext = target;
      member.membersSeq = -1;
      books.dirty.add(member);
      continue;
    }
    if (member.members === target || member.plan === target) continue;
    const others = sum - fraction(member);
    member.plan = 0;
    if (others + 1 / target <= 1 + EPSILON) {
      member.plan = target;
      member.planSnapped = false;
    }
    sum = others + fraction(member);
  }
}

/** A snapshot is stored: plans that are in it are told. */
export function tellPlans(books: Books): void {
  for (const member of books.members.values()) {
    if (member.plan === 0 || !member.planSnapped || member.untold.size > 0 || member.changes.size > 0) continue;
    if (!member.settled || member.membersSeq !== 0) continue;
    const members = member.plan;
    member.plan = 0;
    // A larger share is a larger stake in windows that have begun: where there is no room for it, it is halved until it fits.
    for (const part of member.parts.values()) {
      if (part.halvings < 0) continue;
      part.next = fit(books, part, members, part.halvings);
      if (part.next === part.halvings) continue;
      part.seq = -1;
      member.changes.add(part);
    }
    member.membersNext = members;
    member.membersSeq = -1;
    books.dirty.add(member);
  }
}

/** Whether somebody waits for a snapshot to be stored. */
export function waitsForSave(books: Books): boolean {
  if (books.gated.size > 0) return true;
  for (const member of books.members.values())
    if (!member.known || member.reported !== "" || (member.plan > 0 && member.untold.size === 0)) return true;
  return false;
}
