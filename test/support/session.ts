/** Sessions for tests: a target on loopback, settings with times a test can wait for, and what the session told its owner. */
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { parseSettings, type SmtpSettings } from "../../src/config/settings.ts";
import type { Outcome } from "../../src/model/outcome.ts";
import type { Session, SessionEvents, SessionTarget, WireMessage } from "../../src/mta/session-contract.ts";
import { openTlsMemory, type TlsMemory } from "../../src/mta/session/tls-memory.ts";
import { openSession } from "../../src/mta/session.ts";
import { tlsCertificate } from "./script-server.ts";

export interface SessionOptions {
  readonly target?: Partial<SessionTarget>;
  readonly settings?: Partial<SmtpSettings>;
  readonly events?: Partial<SessionEvents>;
  readonly memory?: TlsMemory;
  readonly clock?: Clock;
}

export function smtpSettings(parts: Partial<SmtpSettings> = {}): SmtpSettings {
  return { ...parseSettings({}).mta.smtp, ...parts };
}

export function sessionTarget(port: number, parts: Partial<SessionTarget> = {}): SessionTarget {
  return {
    mx: "mx.test",
    ip: "127.0.0.1",
    port,
    localAddress: "",
    publicId: 7,
    helo: "client.test",
    tls: "disabled",
    auth: null,
    ...parts,
  };
}

/** A memory that trusts the test certificate. */
export function testTlsMemory(): TlsMemory {
  return openTlsMemory(systemClock, { ca: tlsCertificate });
}

export async function tryTestSession(port: number, options: SessionOptions = {}): Promise<Session | Outcome> {
  return await openSession(
    { clock: options.clock ?? systemClock, tlsMemory: options.memory ?? testTlsMemory() },
    sessionTarget(port, options.target),
    smtpSettings(options.settings),
    { permit: () => true, change() {}, ...options.events },
  );
}

/** Throws when there is no session. */
export async function openTestSession(port: number, options: SessionOptions = {}): Promise<Session> {
  const session = await tryTestSession(port, options);
  if (!("submit" in session)) throw new Error(`no session: ${session.stage} ${session.code} ${session.text}`);
  return session;
}

/** Message number `id`, to `r<id>@d.test`, with a body of about `size` octets. */
export function testMessage(id: number, size = 60, parts: Partial<WireMessage> = {}): WireMessage {
  const line = `line of message ${id} ${"x".repeat(50)}\r\n`;
  const text = `Subject: ${id}\r\n\r\n${line.repeat(Math.max(1, Math.ceil(size / line.length)))}`;
  return { id, from: "s@a.test", to: `r${id}@d.test`, bytes: Buffer.from(text), smtputf8: false, ...parts };
}
