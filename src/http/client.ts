/**
 * The outgoing HTTP client for servers of our own (web, redirection servers), and the only importer of undici: one request, one bounded answer. Connections
 * are kept and bounded; one end to the whole, however slowly the answer drips; no redirect is followed, so the secret in a header goes
 * where it was meant to and nowhere else. Whatever goes wrong is a value: `ask` never rejects. (Servers of strangers: fetch.ts.)
 */
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Agent } from "undici";
import type { Clock } from "../base/clock.ts";

export interface HttpAsk {
  /** Absolute, http or https. */
  readonly url: string;
  /** Default GET. */
  readonly method?: "GET" | "HEAD" | "POST" | "PUT" | "DELETE";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Of the answer's body, as it comes and unpacked. */
  readonly mostBytes: number;
  /** For everything together. */
  readonly timeoutMs: number;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

export type HttpAnswer =
  /** Names of headers in lower case; several of one name are joined by ", ". `body` is unpacked. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Buffer;
    }
  /** `stopped`: by the caller's signal; `large`: more than `mostBytes`; `strange`: an answer that is none. */
  | { readonly kind: "network" | "late" | "large" | "strange" | "stopped"; readonly text: string };

export interface HttpClient {
  ask(request: HttpAsk): Promise<HttpAnswer>;
  /** Ends what is under way. */
  close(): Promise<void>;
}

export interface HttpClientOptions {
  readonly clock: Clock;
  /** To one server; what is asked beyond waits, within its own time. Default 8. */
  readonly connections?: number;
  /**
   * Base address of a server of this machine: its certificate is for the names readers ask for and not for this address, and may have run out
   * without a hit being lost for it. So it is not looked at, no more than there would be one without TLS.
   */
  readonly own?: string;
}

/** How long an idle connection is kept. Our servers keep theirs longer, so that none is closed in the moment it is used again. */
const KEPT_MS = 4_000;
const CONNECT_MS = 5_000;

export function openHttpClient({ clock, connections = 8, own = "" }: HttpClientOptions): HttpClient {
  const open = (rejectUnauthorized: boolean): Agent =>
    new Agent({
      connections,
      pipelining: 1,
      keepAliveTimeout: KEPT_MS,
      keepAliveMaxTimeout: KEPT_MS,
      connect: { timeout: CONNECT_MS, rejectUnauthorized },
      // The one end of `ask` is the one that counts.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  const [others, ours] = [open(true), open(false)];
  const ownOrigin = URL.parse(own)?.origin;
  const closing = new AbortController();

  async function ask(request: HttpAsk): Promise<HttpAnswer> {
    const ended = new AbortController();
    let why: "late" | "stopped" = "late";
    const stop = (): void => {
      why = "stopped";
      ended.abort();
    };
    const timer = clock.after(request.timeoutMs, () => ended.abort());
    const signals = request.signal === undefined ? [closing.signal] : [closing.signal, request.signal];
    for (const signal of signals) signal.addEventListener("abort", stop, { once: true });
    if (signals.some((signal) => signal.aborted)) stop();
    try {
      const url = new URL(request.url);
      return await send(url.origin === ownOrigin ? ours : others, url, request, ended.signal);
    } catch (error) {
      if (!ended.signal.aborted) return { kind: "network", text: causeOf(error) };
      return {
        kind: why,
        text: why === "late" ? `no whole answer within ${request.timeoutMs} ms` : "told to stop",
      };
    } finally {
      timer.cancel();
      for (const signal of signals) signal.removeEventListener("abort", stop);
    }
  }

  return {
    ask,
    async close() {
      closing.abort();
      await Promise.all([others.destroy(), ours.destroy()]);
    },
  };
}

async function send(agent: Agent, url: URL, request: HttpAsk, signal: AbortSignal): Promise<HttpAnswer> {
  const answer = await agent.request({
    origin: url.origin,
    path: `${url.pathname}${url.search}`,
    method: request.method ?? "GET",
    headers: { "accept-encoding": "gzip", "user-agent": "postilion", ...request.headers },
    ...(request.body === undefined ? {} : { body: request.body }),
    signal,
  });
  const headers = Object.fromEntries(
    Object.entries(answer.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : `${value}`]),
  );
  const large: HttpAnswer = { kind: "large", text: `an answer of more than ${request.mostBytes} octets` };
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer.body as AsyncIterable<Buffer>) {
    bytes += part.length;
    // Leaving the loop destroys the rest, and the connection with it.
    if (bytes > request.mostBytes) return large;
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  const coding = (headers["content-encoding"] ?? "identity").toLowerCase();
  const status = answer.statusCode;
  if (coding === "identity" || body.length === 0) return { kind: "answer", status, headers, body };
  if (coding !== "gzip") return { kind: "strange", text: "packed in a way that was not asked for" };
  try {
    return {
      kind: "answer",
      status,
      headers,
      body: await promisify(gunzip)(body, { maxOutputLength: request.mostBytes }),
    };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") return large;
    return { kind: "strange", text: "packed, and cannot be unpacked" };
  }
}

function causeOf(error: unknown): string {
  const { message, code, errors } = error as NodeJS.ErrnoException & { readonly errors?: readonly Error[] };
  // A name with several addresses fails with one error for each, and no message of its own.
  const text = message || (errors ?? []).map((each) => each.message).join("; ") || code || "no connection";
  return text.slice(0, 300);
}
