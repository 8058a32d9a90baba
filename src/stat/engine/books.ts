/**
 * What the engine keeps: members, counters, connections, requests. Plain data; the files beside this one work on it.
 *
 * A *member* is one mta process. A *counter* is a rule in a scope. A *part* is what one member has of one counter: connections it holds,
 * messages granted to it in the windows that run, and its *stake* (shares.ts). A member is *live*; or *lost* (it may go on by its share until
 * the horizon); or *dead* (its process is known to have ended) or *gone* (the horizon has passed): then only what it used counts.
 */
import type { MxRule, MxRules } from "../../model/mx-rules.ts";
import type { Exchanger, Hold, Limits, Path } from "../../model/traffic.ts";
import { DAY, MINUTE, PERIOD, WINDOWS, counterName, windowStart } from "../../quota/counter.ts";
import type { ServerMessage, UsedCounter } from "../../quota/messages.ts";
import { type Pace, openPace } from "../../quota/pace.ts";
import type { Governor } from "../contract.ts";

export interface Member {
  readonly name: string;
  readonly process: string;
  state: "live" | "lost" | "dead" | "gone";
  send: (message: ServerMessage) => void;
  /** Has reported what it used: null once it has, before that what came so far. */
  reporting: UsedCounter[] | null;
  /** How far its report has come: into a snapshot, into a stored one. Only then is it told its shares anew, and forgets that it used them. */
  reported: "" | "heard" | "snapped" | "saved";
  /** Everything promised to it is acknowledged on this connection. Else it may go by older words: its whole share is kept. */
  settled: boolean;
  /** It is in a stored snapshot: without that nothing is granted. */
  known: boolean;
  snapped: boolean;
  /** Its share is limit ÷ members: acknowledged, told, and planned (told when a snapshot with it is stored). 0: none. */
  members: number;
  membersNext: number;
  membersSeq: number;
  plan: number;
  planSnapped: boolean;
  seq: number;
  /** Told and not acknowledged: parts and the number of members, by sequence. */
  readonly untold: Map<number, Part[]>;
  settleSeq: number;
  /** Parts whose stake changes with the next `shares`. */
  readonly changes: Set<Part>;
  /** Windows that begin later are not used by its share any more. */
  activeUntil: number;
  /** When it no longer counts among the doubtful. */
  leavesAt: number;
  /** The server was restored then: what was granted between the snapshot and that time is not known. */
  gapEnd: number;
  readonly parts: Map<Counter, Part>;
  readonly requests: Map<number, Request>;
  readonly conns: Map<number, Conn>;
}

export interface Part {
  readonly member: Member;
  readonly counter: Counter;
  conns: number;
  /** Messages of minute, period, day. */
  readonly used: number[];
  /** The same as the last stored snapshot has them, and the one on its way. */
  readonly saved: number[];
  savedConns: number;
  readonly snapped: number[];
  snappedConns: number;
  /** The stake: see messages.ts Share. -1: none. `next` is told and not acknowledged (seq > 0). */
  halvings: number;
  next: number;
  seq: number;
  lastUse: number;
  squeezedAt: number;
  /** Not before: a stake that did not fit is tried again. */
  tryAt: number;
}

export interface Counter {
  readonly name: string;
  rule: MxRule;
  readonly publicId: number | null;
  readonly ip: string;
  readonly parts: Map<Member, Part>;
  /** Messages of members nobody remembers. */
  readonly base: number[];
  readonly starts: number[];
  /** Of minute and period, for rules that are smooth. */
  readonly paces: readonly [Pace, Pace];
  readonly conns: Set<Conn>;
  readonly lines: Line[];
  waiting: number;
  /** When it is looked at again, Infinity: never by itself. */
  alarmAt: number;
  /** Stakes are asked back and turns ended not before, and at the latest. */
  lookAt: number;
  againAt: number;
  /** What those who wait were told last, in short. */
  shown: string;
  shownAt: number;
  /** Octets granted or reported that the rate has not yet covered. */
  debt: number;
  debtAt: number;
  average: number;
}

/** The waiting requests of one member at one counter, in the order of their coming. */
export interface Line {
  readonly member: Member;
  readonly urgentMore: Set<Request>;
  readonly urgentConn: Set<Request>;
  readonly more: Set<Request>;
  readonly conn: Set<Request>;
}

export interface Conn {
  readonly id: number;
  readonly member: Member;
  readonly site: string;
  readonly path: Path;
  counter: Counter;
  readonly since: number;
  /** What was granted before belongs to another counter: rules were changed then. */
  movedAt: number;
  granted: number;
  /** The last grant: its request may be cancelled while it is on its way. */
  last: { readonly id: number; readonly at: number; readonly messages: number };
  revoked: boolean;
  limits: Limits;
}

export interface Request {
  readonly id: number;
  readonly order: number;
  readonly at: number;
  readonly member: Member;
  readonly site: string;
  readonly publicId: number;
  readonly urgent: boolean;
  readonly messages: number;
  readonly exchangers: readonly Exchanger[];
  /** For `more`. */
  readonly conn: Conn | null;
  /** Where it waits: counters, and which of its exchangers belong to each, in its order. */
  readonly places: Map<Counter, Path[]>;
  done: boolean;
  hold: Hold | null;
}

export interface Books {
  readonly governor: Governor;
  readonly horizonMs: number;
  readonly silenceMs: number;
  readonly endingMs: number;
  rules: MxRules;
  readonly members: Map<string, Member>;
  /** Members that may use what nobody can tell them not to: lost, or not yet settled. */
  readonly doubtful: Set<Member>;
  readonly gone: Member[];
  readonly counters: Map<string, Counter>;
  /** Connections by `site|publicId`, as the governor counts. */
  readonly sites: Map<string, number>;
  /** Counters at which somebody waits, and those where only a stored snapshot is waited for. */
  readonly waiting: Set<Counter>;
  readonly gated: Set<Counter>;
  /** Members that something must be told. */
  readonly dirty: Set<Member>;
  /** The smallest number of members that a snapshot which may be the last stored one has; what a gap is measured by. */
  gateMembers: number;
  snappedMembers: number;
  gapMembers: number;
  /** Server ms at which this server was restored: of what was granted before, no pace is known. */
  restoredAt: number;
  order: number;
  alarm(counter: Counter, at: number): void;
}

export function openPart(member: Member, counter: Counter): Part {
  let part = counter.parts.get(member);
  if (part !== undefined) return part;
  part = {
    member,
    counter,
    conns: 0,
    used: [0, 0, 0],
    saved: [0, 0, 0],
    savedConns: 0,
    snapped: [0, 0, 0],
    snappedConns: 0,
    halvings: -1,
    next: -1,
    seq: 0,
    lastUse: 0,
    squeezedAt: 0,
    tryAt: 0,
  };
  counter.parts.set(member, part);
  member.parts.set(counter, part);
  return part;
}

export function openCounter(books: Books, rule: MxRule, publicId: number, ip: string, now: number): Counter {
  const name = counterName(rule, publicId, ip);
  const known = books.counters.get(name);
  if (known !== undefined) return known;
  const { scope } = rule.limits;
  const counter: Counter = {
    name,
    rule,
    publicId: scope === "rule" ? null : publicId,
    ip: scope === "path" ? ip : "",
    parts: new Map(),
    base: [0, 0, 0],
    starts: WINDOWS.map((w) => windowStart(w, now)),
    paces: [openPace(books.restoredAt), openPace(books.restoredAt)],
    conns: new Set(),
    lines: [],
    waiting: 0,
    alarmAt: Number.POSITIVE_INFINITY,
    lookAt: 0,
    againAt: 0,
    shown: "",
    shownAt: 0,
    debt: 0,
    debtAt: now,
    average: 20_000,
  };
  books.counters.set(name, counter);
  return counter;
}

/** Begins the windows that run now: what was counted in others is over. Each window begins with a minute. */
export function roll(counter: Counter, now: number): void {
  const { starts, base, parts } = counter;
  if (starts[MINUTE] === windowStart(MINUTE, now)) return;
  for (const w of [MINUTE, PERIOD, DAY] as const) {
    const start = windowStart(w, now);
    if (starts[w] === start) continue;
    starts[w] = start;
    base[w] = 0;
    for (const part of parts.values()) {
      part.used[w] = 0;
      part.saved[w] = 0;
      part.snapped[w] = 0;
    }
  }
}

export function openConn(
  books: Books,
  conn: Pick<Conn, "id" | "member" | "site" | "path" | "since" | "granted" | "limits">,
  counter: Counter,
): Conn {
  const made: Conn = { ...conn, counter, movedAt: 0, last: { id: 0, at: 0, messages: 0 }, revoked: false };
  conn.member.conns.set(conn.id, made);
  counter.conns.add(made);
  openPart(conn.member, counter).conns++;
  const key = `${conn.site}|${conn.path.publicId}`;
  books.sites.set(key, (books.sites.get(key) ?? 0) + 1);
  return made;
}

export function dropConn(books: Books, conn: Conn): void {
  if (!conn.member.conns.delete(conn.id)) return;
  conn.counter.conns.delete(conn);
  openPart(conn.member, conn.counter).conns--;
  const key = `${conn.site}|${conn.path.publicId}`;
  const left = (books.sites.get(key) ?? 1) - 1;
  if (left > 0) books.sites.set(key, left);
  else books.sites.delete(key);
}
