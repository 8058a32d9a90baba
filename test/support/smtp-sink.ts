/**
 * A real receiving mail server (the smtp-server package) for tests: keeps each message as it came with its envelope, answers recipients as
 * told, offers STARTTLS with the certificate of test/support/tls and AUTH when given a password. Loopback only.
 */
import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";
import { tlsCertificate, tlsKey } from "./script-server.ts";

export interface SunkMessage {
  readonly from: string;
  readonly to: readonly string[];
  /** As received: dots unstuffed. */
  readonly raw: Buffer;
  /** Came through TLS. */
  readonly secure: boolean;
  readonly user: string;
}

export interface SmtpSinkOptions {
  readonly port?: number;
  /** Default: without. */
  readonly starttls?: boolean;
  /** Instead of the certificate for mx.test, PEM. */
  readonly certificate?: { readonly key: string; readonly cert: string };
  /** The newest it speaks. */
  readonly tlsVersion?: "TLSv1.2" | "TLSv1.3";
  /** user and password that AUTH PLAIN and LOGIN accept; AUTH is then required. */
  readonly auth?: { readonly user: string; readonly password: string };
  readonly size?: number;
  /** The answer to RCPT: '' to accept, else `550 5.1.1 No such user`. */
  readonly recipient?: (to: string) => string;
  /** The answer to the dot, in the same way. */
  readonly message?: (message: SunkMessage) => string;
}

export interface SmtpSink {
  readonly port: number;
  readonly messages: readonly SunkMessage[];
  close(): Promise<void>;
}

export async function openSmtpSink(options: SmtpSinkOptions = {}): Promise<SmtpSink> {
  const { starttls = false, auth, recipient = () => "", message: judge = () => "" } = options;
  const messages: SunkMessage[] = [];
  const server = new SMTPServer({
    logger: false,
    key: options.certificate?.key ?? tlsKey,
    cert: options.certificate?.cert ?? tlsCertificate,
    ...(options.tlsVersion === undefined ? {} : { maxVersion: options.tlsVersion }),
    disabledCommands: [...(starttls ? [] : ["STARTTLS"]), ...(auth === undefined ? ["AUTH"] : [])],
    authOptional: auth === undefined,
    allowInsecureAuth: true,
    disableReverseLookup: true,
    size: options.size ?? 0,
    closeTimeout: 100,
    onAuth({ username = "", password }, _session, callback) {
      if (username === auth?.user && password === auth?.password) callback(null, { user: username });
      else callback(new Error("Invalid username or password"));
    },
    onRcptTo({ address }, _session, callback) {
      callback(refusal(recipient(address)));
    },
    onData(stream, session, callback) {
      const parts: Buffer[] = [];
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        const message: SunkMessage = {
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          raw: Buffer.concat(parts),
          secure: session.secure,
          user: typeof session.user === "string" ? session.user : "",
        };
        const answer = refusal(judge(message));
        if (answer === null) messages.push(message);
        callback(answer);
      });
    },
  });
  // A client that breaks off is what tests are about.
  server.on("error", () => {});
  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    messages,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function refusal(answer: string): Error | null {
  if (answer === "") return null;
  return Object.assign(new Error(answer.slice(4)), { responseCode: Number(answer.slice(0, 3)) });
}
