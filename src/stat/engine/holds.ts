/** What a request waits for, in words for a person; and what a connection is told when it may not go on. */
import type { Hold, HoldKind } from "../../model/traffic.ts";
import { WINDOWS, windowEnd, windowLimit } from "../../quota/counter.ts";
import type { Books, Conn, Counter, Request } from "./books.ts";
import { connRoom, messageRoom, usedByOthers } from "./room.ts";

const WINDOW_NAMES = ["minute", "five minutes", "day"] as const;

/** Tells a request what it waits for, when that has changed. */
export function tellHold(books: Books, request: Request, now: number): void {
  const hold = holdOf(books, request, now);
  const before = request.hold;
  if (before !== null && before.kind === hold.kind && before.by === hold.by && before.until === hold.until) return;
  request.hold = { ...hold, since: before?.kind === hold.kind && before.by === hold.by ? before.since : now };
  request.member.send({ t: "wait", id: request.id, hold: request.hold });
}

/** By its first exchanger that is not stopped from above; when all are, what stops the first one. */
function holdOf(books: Books, request: Request, now: number): Hold {
  let stopped: Hold | null = null;
  for (const [counter, paths] of request.places)
    for (const path of paths) {
      const governed = books.governor.govern(request.site, path, counter.rule.limits, now);
      if (governed.hold !== null) {
        stopped ??= governed.hold;
        continue;
      }
      const above = books.sites.get(`${request.site}|${path.publicId}`) ?? 0;
      if (request.conn === null && above >= governed.connections)
        return made("back-off", counter.rule.id, `${above} connections are open, more are not allowed for now`, 0);
      return ofCounter(books, counter, request, now);
    }
  return stopped ?? made("connections", "", "waits for its turn", 0);
}

function ofCounter(books: Books, counter: Counter, request: Request, now: number): Hold {
  const { rule } = counter;
  const room = messageRoom(books, counter, request.member, now);
  const by = rule.id;
  if (!request.member.known || room.gated) return made("stat", by, "the statistics server saves its counters", 0);
  if (room.messages < 1) {
    for (const w of WINDOWS) {
      const limit = windowLimit(rule.limits, w, counter.starts[w] ?? 0);
      if (limit === Number.POSITIVE_INFINITY) continue;
      const used = usedByOthers(counter, w, undefined);
      if (used >= limit)
        return made(
          "quota",
          by,
          `rule ${by}: ${used} of ${limit} messages of this ${WINDOW_NAMES[w]} are granted`,
          windowEnd(w, now),
        );
    }
    if (counter.debt > 0)
      return made("quota", by, `rule ${by}: ${rule.limits.bytesPerSecond} octets a second are used up`, 0);
    const text = room.reserved
      ? "the rest of the messages is kept for other machines"
      : "the next messages come evenly";
    return made("quota", by, `rule ${by}: ${text}`, 0);
  }
  const { connections } = rule.limits;
  const held = counter.conns.size;
  const text =
    held < connections && connRoom(books, counter, request.member).conns < 1
      ? "open or kept for other machines"
      : "open";
  return made("connections", by, `rule ${by}: ${held} of ${connections} connections are ${text}`, 0);
}

function made(kind: HoldKind, by: string, text: string, until: number): Hold {
  return { kind, by, text, since: 0, until: until === Number.POSITIVE_INFINITY ? 0 : until };
}

/** Its turn is over. */
export function revokeTurn(books: Books, conn: Conn, now: number): void {
  const by = conn.counter.rule.id;
  revoke(conn, { ...made("connections", by, `rule ${by}: it is another one's turn`, 0), since: now });
}

/** It counts until it is given back. */
export function revoke(conn: Conn, hold: Hold): void {
  if (conn.revoked) return;
  conn.revoked = true;
  conn.member.send({ t: "revoke", conns: [conn.id], hold });
}

/** More connections than the rule has, after new rules or a return: the youngest go. */
export function revokeExcess(counter: Counter, now: number): void {
  const { connections } = counter.rule.limits;
  const going = [...counter.conns].filter(({ revoked }) => revoked).length;
  const excess = counter.conns.size - going - connections;
  if (excess <= 0) return;
  const by = counter.rule.id;
  const hold = { ...made("connections", by, `rule ${by} allows ${connections} connections`, 0), since: now };
  for (const conn of [...counter.conns]
    .filter(({ revoked, member }) => !revoked && member.state === "live")
    .sort((a, b) => b.since - a.since)
    .slice(0, excess))
    revoke(conn, hold);
}
