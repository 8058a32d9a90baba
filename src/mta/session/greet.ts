/**
 * From a fresh connection to a session that takes mail: banner → EHLO (or HELO) → STARTTLS → EHLO → AUTH, one step at a time, each
 * with its own time. The first thing that goes wrong is the result. RFC 5321 §3.1–3.2, RFC 3207, RFC 4954.
 */
import { isIP } from "node:net";
import type { Clock } from "../../base/clock.ts";
import type { SmtpSettings } from "../../config/settings.ts";
import type { Stage } from "../../model/outcome.ts";
import type { TlsFinding } from "../../model/tls-result.ts";
import { capabilities, NO_CAPABILITIES, type Capabilities } from "../../smtp/capabilities.ts";
import { enhancedCode, replyText, type Reply } from "../../smtp/reply.ts";
import type { SessionTarget } from "../session-contract.ts";
import { TLS_POLICY_STATUS } from "../tls-policy/contract.ts";
import { certificateResult, GOOD, judgeDane, judgePkix } from "./certificate.ts";
import type { TlsMemory } from "./tls-memory.ts";
import type { Wire } from "./wire.ts";

/** Why there is no session. */
export interface Refusal {
  readonly stage: Stage;
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
  /** The TLS handshake failed: without TLS it may go. */
  readonly tlsFailed: boolean;
  /** What is said of it in reports; absent when it is not about TLS. */
  readonly finding?: TlsFinding;
}

/** What is said to a server and how long we wait. `tls: "disabled"` also when TLS was tried and failed. */
export interface GreetOptions {
  readonly target: SessionTarget;
  readonly settings: SmtpSettings;
  readonly tls: SessionTarget["tls"];
  readonly memory: TlsMemory;
  readonly clock: Clock;
  /** Told how TLS went on a connection that goes on. */
  readonly found: (finding: TlsFinding | null) => void;
}

export async function greet(wire: Wire, options: GreetOptions): Promise<Capabilities | Refusal> {
  const { target, settings } = options;
  const banner = await ask(wire, "", settings.bannerMs);
  if (!is2yz(banner)) return refused("banner", banner);

  let offered = await ehlo(wire, options);
  if ("stage" in offered) return offered;

  if (options.tls !== "disabled") {
    if (offered.starttls) {
      const refusal = await startTls(wire, options);
      // A server that cannot right now (454) goes on in the clear, unless TLS is required.
      const over = refusal !== null && (wire.ended !== "" || refusal.code === 421 || options.tls === "required");
      if (over) return refusal;
      if (refusal?.finding !== undefined) options.found(refusal.finding);
      if (refusal === null) {
        // RFC 3207 §4.2: what was learnt in the clear is forgotten.
        offered = await ehlo(wire, options);
        if ("stage" in offered) return offered;
      }
    } else {
      const finding = { result: "starttls-not-supported", reason: "STARTTLS is not offered" } as const;
      options.found(finding);
      if (options.tls === "required")
        return demanded(target, {
          ...local("starttls", "TLS is required and the server does not offer STARTTLS"),
          finding,
        });
    }
  }
  if (target.auth !== null) {
    const refusal = await authenticate(wire, options, target.auth, offered);
    if (refusal !== null) return refusal;
  }
  return offered;
}

async function ehlo(wire: Wire, { target, settings }: GreetOptions): Promise<Capabilities | Refusal> {
  const reply = await ask(wire, `EHLO ${target.helo}\r\n`, settings.ehloMs);
  if (typeof reply === "string") return refused("ehlo", reply);
  if (is2yz(reply)) return capabilities(reply);
  // RFC 5321 §4.1.1.1, §3.2: a server that does not know EHLO is asked with HELO.
  if (reply.code < 500) return refused("ehlo", reply);
  const old = await ask(wire, `HELO ${target.helo}\r\n`, settings.ehloMs);
  return is2yz(old) ? NO_CAPABILITIES : refused("ehlo", old);
}

async function startTls(wire: Wire, options: GreetOptions): Promise<Refusal | null> {
  const { target, settings, tls, memory, clock } = options;
  const reply = await ask(wire, "STARTTLS\r\n", settings.ehloMs);
  if (!is2yz(reply)) {
    const refusal = refused("starttls", reply);
    const finding = { result: "starttls-not-supported", reason: `STARTTLS was refused: ${refusal.text}` } as const;
    return demanded(target, { ...refusal, finding });
  }
  // Whatever came with the 220 was said in the clear, by anybody, and would be read as if it came through TLS (CVE-2011-0411).
  if (wire.unread || wire.ended !== "") {
    wire.destroy();
    const text = "data behind the reply to STARTTLS";
    return demanded(target, { ...local("starttls", text), finding: { result: "validation-failure", reason: text } });
  }
  const check = target.demand?.check ?? { kind: tls === "required" ? "pkix" : "none" };
  const mx = target.mx.replace(/\.$/, "");
  const host = check.kind === "dane" ? check.name : mx;
  // Under DANE by the hash of the records: a session lives no longer than they do.
  const key = `${target.demand?.name ?? tls} ${host} ${target.port}`;
  const session = memory.session(key);
  let finding: TlsFinding = GOOD;
  wire.expect(settings.ehloMs);
  const { why, code } = await wire.secure(
    {
      host,
      servername: isIP(host) === 0 ? host : "",
      secureContext: memory.context,
      // Opportunistic TLS keeps out those who only listen (RFC 7435): a self-signed certificate is better than none.
      rejectUnauthorized: check.kind === "pkix",
      ...(session === undefined ? {} : { session }),
    },
    {
      judge(socket) {
        if (check.kind === "dane") finding = judgeDane(socket, check, clock.now());
        if (finding.result !== "") return finding.reason;
        if (!socket.isSessionReused()) memory.keepFinding(key, check.kind === "none" ? judgePkix(socket) : finding);
        options.found(memory.finding(key));
        return "";
      },
      keep: (ticket) => memory.keepSession(key, ticket),
    },
  );
  if (why === "") return null;
  if (finding.result === "") finding = { result: certificateResult(code), reason: why };
  return demanded(target, { ...local("starttls", `TLS: ${why}`), tlsFailed: true, finding });
}

/** A refusal for which a TLS policy is to blame says so in its status. */
function demanded(target: SessionTarget, refusal: Refusal): Refusal {
  return target.demand ? { ...refusal, enhanced: refusal.enhanced || TLS_POLICY_STATUS } : refusal;
}

type Auth = NonNullable<SessionTarget["auth"]>;

async function authenticate(
  wire: Wire,
  { settings }: GreetOptions,
  auth: Auth,
  offered: Capabilities,
): Promise<Refusal | null> {
  if (wire.tls === "" && !auth.insecure) return local("auth", "no password is sent without TLS");
  const base64 = (text: string): string => Buffer.from(text, "utf8").toString("base64");
  const say = (line: string, shown: string): Promise<Reply | string> =>
    ask(wire, `${line}\r\n`, settings.ehloMs, `${shown}\r\n`);
  const secret = "[redacted]";
  let reply: Reply | string;
  if (offered.auth.includes("PLAIN")) {
    const response = base64(`\0${auth.user}\0${auth.password}`);
    reply = await say(`AUTH PLAIN ${response}`, `AUTH PLAIN ${secret}`);
    // Some servers ask for the response although they were given it.
    if (is334(reply)) reply = await say(response, secret);
  } else if (offered.auth.includes("LOGIN")) {
    reply = await say("AUTH LOGIN", "AUTH LOGIN");
    if (is334(reply)) reply = await say(base64(auth.user), secret);
    if (is334(reply)) reply = await say(base64(auth.password), secret);
  } else return local("auth", "the server offers neither AUTH PLAIN nor AUTH LOGIN");
  return is2yz(reply) ? null : refused("auth", reply);
}

/** Says one line (or nothing) and waits for one reply: the reply, or why there is none. */
function ask(wire: Wire, line: string, ms: number, shown = line): Promise<Reply | string> {
  return new Promise((resolve) => {
    wire.listen({
      reply(reply) {
        wire.expect(0);
        // Nobody listens until the next command: a reply that comes before it ends the wire.
        wire.listen(null);
        resolve(reply);
      },
      turn() {},
      handed() {},
      late: () => wire.lose(`no reply within ${ms / 1000} s`),
      lost: resolve,
    });
    if (line !== "") wire.command(line, 0, shown);
    wire.expect(ms);
  });
}

const is2yz = (reply: Reply | string): boolean => typeof reply !== "string" && reply.code >= 200 && reply.code < 300;
const is334 = (reply: Reply | string): boolean => typeof reply !== "string" && reply.code === 334;

function local(stage: Stage, text: string): Refusal {
  return { stage, code: 0, enhanced: "", text, tlsFailed: false };
}

function refused(stage: Stage, reply: Reply | string): Refusal {
  if (typeof reply === "string") return local(stage, reply);
  const odd = reply.code < 400 ? "unexpected reply: " : "";
  return { stage, code: reply.code, enhanced: enhancedCode(reply), text: odd + replyText(reply), tlsFailed: false };
}
