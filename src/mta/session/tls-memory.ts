/**
 * What one process remembers about TLS: exchangers whose handshake fails, so that each new session does not try it in vain, and TLS
 * sessions to resume, which saves a round trip and most of the handshake's CPU. Bounded; nothing of it needs to survive a restart.
 *
 * Sessions are kept apart by policy: a resumed session is not asked for its certificate's name again, so one made without verification
 * must never serve a target that requires it.
 */
import { createSecureContext, type SecureContext } from "node:tls";
import type { Clock } from "../../base/clock.ts";
import type { TlsFinding } from "../../model/tls-result.ts";
import { openRecent } from "../recent.ts";

export interface TlsMemory {
  /** True while the exchanger counts as one that offers STARTTLS and cannot do it. */
  broken(mx: string): boolean;
  breaks(mx: string): void;
  works(mx: string): void;
  session(key: string): Buffer | undefined;
  keepSession(key: string, session: Buffer): void;
  /** What was found of the certificate when the session was made: a resumed one shows none. */
  finding(key: string): TlsFinding | null;
  keepFinding(key: string, finding: TlsFinding): void;
  /** Made once: building one costs a millisecond and all root certificates. */
  readonly context: SecureContext;
}

export interface TlsMemoryOptions {
  /** Certificates to trust instead of the machine's: PEM. */
  readonly ca?: string;
}

const BROKEN_LIMIT = 10_000;
/** A session is about 2 KB. */
const SESSION_LIMIT = 5_000;
/** A server that is repaired gets TLS again within the hour. */
const BROKEN_MS = 3_600_000;

export function openTlsMemory(clock: Clock, options: TlsMemoryOptions = {}): TlsMemory {
  const brokenUntil = openRecent<string, number>(BROKEN_LIMIT);
  const sessions = openRecent<string, Buffer>(SESSION_LIMIT);
  const findings = openRecent<string, TlsFinding>(SESSION_LIMIT);
  let context: SecureContext | null = null;
  return {
    broken: (mx) => (brokenUntil.get(mx) ?? 0) > clock.monotonic(),
    breaks: (mx) => brokenUntil.set(mx, clock.monotonic() + BROKEN_MS),
    works: (mx) => brokenUntil.delete(mx),
    session: (key) => sessions.get(key),
    keepSession: (key, session) => sessions.set(key, session),
    finding: (key) => findings.get(key) ?? null,
    keepFinding: (key, finding) => findings.set(key, finding),
    get context() {
      context ??= createSecureContext(options.ca === undefined ? {} : { ca: options.ca });
      return context;
    },
  };
}
