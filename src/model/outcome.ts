/**
 * What one attempt at one message came to. An outcome is a value: whatever a remote server says, does or fails to do ends here and
 * never as an exception. Absent texts are empty strings and absent numbers 0, so nothing that reads an outcome asks for null.
 */

/** How far the dialogue had come when the outcome was decided. */
export const STAGES = [
  "resolve",
  "connect",
  "banner",
  "ehlo",
  "starttls",
  "auth",
  "mail",
  "rcpt",
  "data",
  "body",
  "dot",
  "local",
] as const;
export type Stage = (typeof STAGES)[number];

/**
 * - `accepted`: 2yz to the final dot (or BDAT LAST).
 * - `rejected`: 5yz for this message.
 * - `deferred`: 4yz for this message.
 * - `unreachable`: no session could be had or the session broke before the dot: refused, timed out, reset, bad TLS, nonsense.
 * - `unroutable`: the domain takes no mail, for ever: NXDOMAIN, null MX (RFC 7505), no address at all.
 * - `in-doubt`: the final dot was written and no answer was read.
 * - `unrenderable`: the message could not be made from its variables.
 * - `expired`: its deadline passed while it waited.
 */
export type OutcomeKind =
  | "accepted"
  | "rejected"
  | "deferred"
  | "unreachable"
  | "unroutable"
  | "in-doubt"
  | "unrenderable"
  | "expired";

export interface Outcome {
  readonly kind: OutcomeKind;
  readonly stage: Stage;
  /** SMTP reply code, 0 when no reply decided. */
  readonly code: number;
  /** RFC 3463 status such as `5.1.1`, '' when none was given. */
  readonly enhanced: string;
  /** The reply's text or our sentence for what happened; one line, at most 500 characters, control characters removed. */
  readonly text: string;
  /** Exchanger's name, '' before one was chosen. */
  readonly mx: string;
  readonly remoteIp: string;
  readonly publicId: number;
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`, or ''. */
  readonly tls: string;
  /** From the first command of the message to the outcome. */
  readonly latencyMs: number;
  /** The last lines of the dialogue, `> ` ours and `< ` theirs; empty for an accepted message. */
  readonly transcript: readonly string[];
}

/** An outcome with every absent thing said as '' or 0. */
export function outcome(kind: OutcomeKind, stage: Stage, parts: Partial<Outcome> = {}): Outcome {
  return {
    kind,
    stage,
    code: parts.code ?? 0,
    enhanced: parts.enhanced ?? "",
    text: parts.text ?? "",
    mx: parts.mx ?? "",
    remoteIp: parts.remoteIp ?? "",
    publicId: parts.publicId ?? 0,
    tls: parts.tls ?? "",
    latencyMs: parts.latencyMs ?? 0,
    transcript: parts.transcript ?? [],
  };
}
