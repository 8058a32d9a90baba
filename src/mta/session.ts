/**
 * An SMTP session with one exchanger: connection, greeting, TLS, AUTH, then messages (`session/flow.ts`). Whatever the server
 * does becomes an outcome: nothing here rejects or throws. A server whose TLS handshake fails is called again without TLS, once, when
 * TLS is only opportunistic (RFC 7435), and remembered.
 */
import type { Clock } from "../base/clock.ts";
import type { SmtpSettings } from "../config/settings.ts";
import { outcome, type Outcome } from "../model/outcome.ts";
import type { Session, SessionEvents, SessionTarget } from "./session-contract.ts";
import { connectDirectly, dial, type Connect } from "./session/dial.ts";
import { openFlow } from "./session/flow.ts";
import { greet, type Refusal } from "./session/greet.ts";
import type { TlsMemory } from "./session/tls-memory.ts";
import { openWire } from "./session/wire.ts";

export interface SessionDeps {
  readonly clock: Clock;
  /** One for all sessions of a process: `openTlsMemory`. */
  readonly tlsMemory: TlsMemory;
  /** Default: a TCP connection to target.ip and target.port. */
  readonly connect?: Connect;
}

/** A session ready for messages, or why there is none: `unreachable`, with the stage it came to. Never rejects. */
export async function openSession(
  deps: SessionDeps,
  target: SessionTarget,
  settings: SmtpSettings,
  events: SessionEvents,
): Promise<Session | Outcome> {
  const { tlsMemory } = deps;
  if (target.tls !== "opportunistic" || tlsMemory.broken(target.mx)) {
    const tls = target.tls === "opportunistic" ? "disabled" : target.tls;
    return (await attempt(deps, target, settings, events, tls)).result;
  }
  const first = await attempt(deps, target, settings, events, "opportunistic");
  if (!first.tlsFailed) return first.result;
  tlsMemory.breaks(target.mx);
  return (await attempt(deps, target, settings, events, "disabled")).result;
}

interface Attempt {
  readonly result: Session | Outcome;
  readonly tlsFailed: boolean;
}

async function attempt(
  deps: SessionDeps,
  target: SessionTarget,
  settings: SmtpSettings,
  events: SessionEvents,
  tls: SessionTarget["tls"],
): Promise<Attempt> {
  const { clock } = deps;
  const startedAt = clock.now();
  const unreachable = (refusal: Refusal, transcript: readonly string[]): Attempt => {
    const { stage, code, enhanced, text, tlsFailed } = refusal;
    const { mx, ip: remoteIp, publicId } = target;
    const latencyMs = clock.now() - startedAt;
    const parts = { code, enhanced, text, mx, remoteIp, publicId, latencyMs, transcript };
    return { result: outcome("unreachable", stage, parts), tlsFailed };
  };

  const socket = await dial(deps.connect ?? connectDirectly, target, settings.connectMs, clock);
  if (typeof socket === "string") {
    return unreachable({ stage: "connect", code: 0, enhanced: "", text: socket, tlsFailed: false }, []);
  }
  const wire = openWire(socket, clock, settings.blockMs);
  const offered = await greet(wire, { target, settings, tls, memory: deps.tlsMemory });
  if ("stage" in offered) {
    const lines = wire.transcript.lines();
    // RFC 5321 §4.1.1.10 asks for QUIT: it leaves at the end of this turn, its answer is not waited for.
    if (wire.ended === "" && offered.code !== 421) wire.command("QUIT\r\n");
    queueMicrotask(wire.destroy);
    return unreachable(offered, lines);
  }
  return { result: openFlow(wire, { clock, target, settings, offered, events }), tlsFailed: false };
}
