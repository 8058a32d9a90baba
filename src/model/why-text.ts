/** The sentences of "why": times in UTC to the second, texts of strangers harmless, nothing that is not known is said. */
import { harmless } from "./harmless.ts";
import type { DeliveryFacts, LastEvent, MessageFacts, WhyHold, WhyKind } from "./why-facts.ts";

/** A hold as a sentence: what, set by whom, since when, until when. */
export function sentenceOf(h: WhyHold): string {
  const what = h.text.slice(0, 1).toUpperCase() + h.text.slice(1).replace(/[.…\s]+$/, "");
  const set = h.by === "" || h.by === "nobody" ? "" : `, set by ${h.by}`;
  const since = h.since > 0 ? `, since ${stamp(h.since)}` : "";
  return `${what}${set}${since}${h.until > 0 ? `; moves ${at(h.until)}` : ENDS[h.kind]}.`;
}

/** What ends a hold of which no time is known. */
const ENDS: Readonly<Record<WhyKind, string>> = {
  quota: "; moves when the next period begins",
  connections: "; moves when a connection is given back",
  "back-off": "",
  "warm-up": "; moves on the next sending day",
  suspension: "; until somebody resumes it",
  stat: "; moves when a statistics server answers",
  dns: "; asked again by itself",
  "tls-policy": "; tried again by itself",
  unreachable: "; tried again by itself",
  schedule: "",
  paused: "; until somebody resumes it",
  draft: "; until somebody starts it",
  "in-doubt": "; until somebody decides",
  "no-mta": "; until one is started",
  unclaimed: "",
  turn: "",
};

/** The last event of a message that waits for nothing any more. */
export function finalSentence(m: MessageFacts): string {
  const { last } = m;
  const when = last === null ? "" : ` ${at(last.at)}`;
  const reply = last === null ? "" : replyOf(last);
  const reason = harmless(m.reason || last?.reason || "");
  const count = tries(m.attempts);
  switch (m.status) {
    case "sent":
      return `Sent${when}${last?.mx ? ` to ${harmless(last.mx, 100)}` : ""} at the ${ordinal(m.attempts)} try${reply}.`;
    case "failed":
      return `Failed${when} after ${count}${reason === "" ? "" : ` (${reason})`}${reply}.`;
    case "bounced":
      return `Sent, and it came back${when}${reason === "" ? "" : ` (${reason})`}${reply}.`;
    case "excluded":
      return `Never sent: excluded${reason === "" ? "" : ` (${reason})`}.`;
    default:
      return `Cancelled${when}.`;
  }
}

/** `: 250 2.0.0 ok`, or what of it there is. */
function replyOf(e: LastEvent): string {
  const text = [e.code === 0 ? "" : String(e.code), harmless(e.reply).replace(/\.$/, "")].filter((part) => part !== "");
  return text.length === 0 ? "" : `: ${text.join(" ")}`;
}

/** What the last event says, for the middle of a sentence. */
export function told(e: LastEvent): string {
  const reply = replyOf(e).slice(2);
  if (reply !== "") return e.mx === "" ? reply : `${harmless(e.mx, 100)} said ${reply}`;
  return harmless(e.reason) || e.type;
}

/** Who gave the last command, when and why. */
export function commanded(d: DeliveryFacts): string {
  const who = d.commandedBy === "" ? "" : ` by ${harmless(d.commandedBy, 100)}`;
  const when = d.commandedAt === 0 ? "" : ` ${at(d.commandedAt)}`;
  return `${who}${when}${d.stateReason === "" ? "" : ` (${harmless(d.stateReason)})`}`;
}

export const by = (name: string): string => (name === "" ? "an operator" : harmless(name, 100));
export const tries = (count: number): string => (count === 1 ? "1 try" : `${count} tries`);
export const stamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;
export const at = (ms: number): string => `at ${stamp(ms)}`;

function ordinal(n: number): string {
  const end = n % 100 >= 11 && n % 100 <= 13 ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return `${n}${end}`;
}
