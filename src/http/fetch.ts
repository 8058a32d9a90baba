/**
 * The outgoing HTTPS client: one GET of a small text, from a server that may be anybody's. Built on node:https, because everything matters here that
 * a friendly client does by itself: no redirect is followed, no name is looked up (the caller says the addresses, and so which are allowed), the
 * certificate must be valid for the name, nothing is decompressed, nothing kept, no connection reused. There is one end to the whole, however
 * slowly it drips. Never rejects.
 */
import { request } from "node:https";
import type { Clock } from "../base/clock.ts";

export interface FetchOptions {
  /** Host name: of the URL, the Host header and the certificate. */
  readonly host: string;
  readonly path: string;
  /** Tried in turn until one of them connects; the caller has looked them up and approves of them. */
  readonly addresses: readonly string[];
  /** Media types that are taken, lower case. */
  readonly types: readonly string[];
  /** Of the body. */
  readonly mostBytes: number;
  /** For everything together. */
  readonly timeoutMs: number;
  /** Default 443. */
  readonly port?: number;
  /** Certificates to trust instead of the machine's: PEM. */
  readonly ca?: string;
  readonly clock: Clock;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

export type Fetched =
  | { readonly kind: "body"; readonly text: string }
  /** `certificate`: the server is there and is not who it should be; `answer`: it said something we do not take. */
  | { readonly kind: "network" | "certificate" | "answer" | "late"; readonly text: string };

/** Addresses of one name that are tried. */
const ADDRESSES = 3;

export async function fetchText(options: FetchOptions): Promise<Fetched> {
  const endsAt = options.clock.monotonic() + options.timeoutMs;
  let last: Fetched = { kind: "network", text: `no address to fetch ${options.host} from` };
  const addresses = options.addresses.slice(0, ADDRESSES);
  for (const [i, address] of addresses.entries()) {
    // A dead address leaves time for the others.
    const left = endsAt - options.clock.monotonic();
    if (left <= 0 || options.signal?.aborted === true) break;
    last = await get(options, address, left, left / (addresses.length - i));
    if (last.kind !== "network") return last;
  }
  return last;
}

function get(options: FetchOptions, address: string, mostMs: number, connectMs: number): Promise<Fetched> {
  const { host, path, port = 443, ca, clock, mostBytes, types } = options;
  return new Promise((resolve) => {
    const sent = request({
      host: address,
      port,
      path,
      method: "GET",
      servername: host,
      headers: { host, accept: types.join(", "), "accept-encoding": "identity", "user-agent": "postilion" },
      agent: false,
      maxHeaderSize: 16_384,
      rejectUnauthorized: true,
      ...(ca === undefined ? {} : { ca }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    let done = false;
    const end = (result: Fetched): void => {
      if (done) return;
      done = true;
      total.cancel();
      connecting.cancel();
      sent.destroy();
      resolve(result);
    };
    const total = clock.after(mostMs, () => end({ kind: "late", text: `no whole answer from ${host} in time` }));
    const connecting = clock.after(connectMs, () =>
      end({ kind: "network", text: `no connection to ${host} (${address}) in time` }),
    );
    sent.on("error", (error: NodeJS.ErrnoException) => end(failure(error)));
    sent.on("socket", (socket) => socket.once("secureConnect", () => connecting.cancel()));
    sent.on("response", (response) => {
      const { statusCode = 0, headers } = response;
      const type = (headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase();
      const refuse = (text: string): void => end({ kind: "answer", text });
      if (statusCode !== 200) return refuse(`status ${statusCode} instead of 200`);
      if (!types.includes(type)) return refuse(`content type ${type.slice(0, 50) || "unknown"}`);
      if ((headers["content-encoding"] ?? "identity") !== "identity") return refuse("a compressed body");
      const parts: Buffer[] = [];
      let bytes = 0;
      response.on("data", (part: Buffer) => {
        bytes += part.length;
        if (bytes > mostBytes) return refuse(`more than ${mostBytes} octets`);
        parts.push(part);
      });
      response.on("end", () => {
        // The end of a connection is not the end of a body.
        if (response.complete) end({ kind: "body", text: Buffer.concat(parts).toString("utf8") });
      });
      response.on("error", (error: NodeJS.ErrnoException) => end(failure(error)));
      response.on("close", () => end({ kind: "network", text: "the connection was closed within the answer" }));
    });
    sent.end();
  });
}

/** Names of OpenSSL's X509_V_ERR_… as Node gives them in `code`. */
const CERTIFICATE =
  /^(?:ERR_TLS_CERT|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|ERROR_IN_CERT|CRL_)/;

function failure(error: NodeJS.ErrnoException): Fetched {
  const text = error.message.slice(0, 300);
  return { kind: CERTIFICATE.test(error.code ?? "") ? "certificate" : "network", text };
}
