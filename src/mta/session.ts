/**
 * An SMTP session with one exchanger: connection, greeting, TLS, AUTH, then messages (`session/flow.ts`). Whatever the server
 * does becomes an outcome: nothing here rejects or throws. A server whose TLS handshake fails is called again without TLS, once, when
 * TLS is only opportunistic (RFC 7435), and remembered.
 */
import type { Clock } from "../base/clock.ts";
import type { SmtpSettings } from "../config/settings.ts";
import { outcome, type Outcome } from "../model/outcome.ts";
import type { TlsFinding } from "../model/tls-result.ts";
import type { Session, SessionEvents, SessionTarget } from "./session-contract.ts";
import { connectDirectly, dial, type Connect } from "./session/dial.ts";
import { openFlow } from "./session/flow.ts";
import { greet, type Refusal } from "./session/greet.ts";
import type { TlsMemory } from "./session/tls-memory.ts";
import { openWire } from "./session/wire.ts";
import type { TlsLink, TlsObserver } from "./tls-policy/contract.ts";

export interface SessionDeps {
  readonly clock: Clock;
  /** One for all sessions of a process: `openTlsMemory`. */
  readonly tlsMemory: TlsMemory;
  /** Default: a TCP connection to target.ip and target.port. */
  readonly connect?: Connect;
  /** Counts what TLS came to, for reports. */
  readonly observer?: TlsObserver;
}

/** A session ready for messages, or why there is none: `unreachable`, with the stage it came to. Never rejects. */
export async function openSession(
  deps: SessionDeps,
  target: SessionTarget,
  settings: SmtpSettings,
  events: SessionEvents,
): Promise<Session | Outcome> {
  const { tlsMemory } = deps;
  // A policy of the recipient domain goes before the rule: never in the clear, never called again without TLS.
  const wanted = target.demand ? "required" : target.tls;
  if (wanted !== "opportunistic")
    return (await attempt(deps, target, settings, events, { tls: wanted, before: null })).result;
  if (tlsMemory.broken(target.mx))
    return (await attempt(deps, target, settings, events, { tls: "disabled", before: BROKEN })).result;
  const first = await attempt(deps, target, settings, events, { tls: "opportunistic", before: null });
  if (!first.tlsFailed) return first.result;
  tlsMemory.breaks(target.mx);
  return (await attempt(deps, target, settings, events, { tls: "disabled", before: first.finding })).result;
}

const BROKEN: TlsFinding = { result: "validation-failure", reason: "the TLS handshake failed within the last hour" };

interface Manner {
  readonly tls: SessionTarget["tls"];
  /** What TLS had come to when it is not tried any more; null: it was not tried. */
  readonly before: TlsFinding | null;
}

interface Attempt {
  readonly result: Session | Outcome;
  readonly tlsFailed: boolean;
  readonly finding: TlsFinding | null;
}

async function attempt(
  deps: SessionDeps,
  target: SessionTarget,
  settings: SmtpSettings,
  events: SessionEvents,
  { tls, before }: Manner,
): Promise<Attempt> {
  const { clock, observer } = deps;
  const { mx, ip, localAddress } = target;
  let finding = before;
  const check = target.demand?.check.kind ?? (tls === "required" ? "pkix" : "none");
  const link: TlsLink = { mx, ip, localAddress, check, finding: () => finding };
  const startedAt = clock.monotonic();
  const unreachable = (refusal: Refusal, transcript: readonly string[]): Attempt => {
    const { stage, code, enhanced, text, tlsFailed } = refusal;
    const latencyMs = Math.round(clock.monotonic() - startedAt);
    const parts = { code, enhanced, text, mx, remoteIp: ip, publicId: target.publicId, latencyMs, transcript };
    const result = outcome("unreachable", stage, parts);
    const found = refusal.finding ?? null;
    // Not yet the end when it is tried once more in the clear: then it counts with the mail that leaves.
    if (found !== null && tls === "required") observer?.failed(result, { ...link, finding: () => found });
    return { result, tlsFailed, finding: found };
  };

  const socket = await dial(deps.connect ?? connectDirectly, target, settings.connectMs, clock);
  if (typeof socket === "string") {
    return unreachable({ stage: "connect", code: 0, enhanced: "", text: socket, tlsFailed: false }, []);
  }
  const wire = openWire(socket, clock, settings.blockMs);
  const offered = await greet(wire, {
    target,
    settings,
    tls,
    memory: deps.tlsMemory,
    clock,
    found: (what) => (finding = what),
  });
  if ("stage" in offered) {
    const lines = wire.transcript.lines(0);
    // RFC 5321 §4.1.1.10 asks for QUIT: it leaves at the end of this turn, its answer is not waited for.
    if (wire.ended === "" && offered.code !== 421) wire.command("QUIT\r\n", 0);
    queueMicrotask(wire.destroy);
    return unreachable(offered, lines);
  }
  const watched = observer === undefined ? events : watch(observer, link, events);
  return {
    result: openFlow(wire, { clock, target, settings, offered, events: watched }),
    tlsFailed: false,
    finding: null,
  };
}

/** Tells the observer once of each domain whose mail leaves: the last moment before it does is `permit`. */
function watch(observer: TlsObserver, link: TlsLink, events: SessionEvents): SessionEvents {
  const told = new Set<string>();
  let last = "";
  return {
    change: () => events.change(),
    permit(message) {
      const domain = message.to.slice(message.to.lastIndexOf("@") + 1);
      if (domain !== last && !told.has(domain)) {
        told.add(domain);
        observer.carried(domain, link);
      }
      last = domain;
      return events.permit(message);
    },
  };
}
