/**
 * How pretend readers ask: over kept connections, as if through a proxy in front of the redirection server that says where each comes from. Nobody
 * follows a redirect: where it leads is read, and the shops it leads to are not of this world.
 */
import { Agent, request } from "node:http";

export interface Program {
  /** What it calls itself. */
  readonly agent: string;
  /** Where it is. */
  readonly address: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Shown {
  readonly status: number;
  /** '' for none. */
  readonly location: string;
  readonly cookies: number;
  readonly type: string;
}

export interface Net {
  ask(program: Program, method: "GET" | "HEAD" | "POST", url: string, body?: Posted): Promise<Shown>;
  close(): void;
}

export interface Posted {
  readonly type: string;
  readonly text: string;
}

const SOCKETS = 32;
const ASK_MS = 20_000;

export function openNet(): Net {
  const agent = new Agent({ keepAlive: true, maxSockets: SOCKETS });
  return {
    ask({ agent: name, address, headers }, method, url, body) {
      return new Promise((resolve, reject) => {
        const sent = request(
          url,
          {
            agent,
            method,
            timeout: ASK_MS,
            headers: {
              ...(name === "" ? {} : { "user-agent": name }),
              "x-forwarded-for": address,
              ...(body === undefined
                ? {}
                : { "content-type": body.type, "content-length": Buffer.byteLength(body.text) }),
              ...headers,
            },
          },
          (response) => {
            const { statusCode = 0, headers: told } = response;
            response.resume().once("error", reject);
            response.once("end", () =>
              resolve({
                status: statusCode,
                location: told.location ?? "",
                cookies: told["set-cookie"]?.length ?? 0,
                type: told["content-type"] ?? "",
              }),
            );
          },
        );
        sent.once("error", (cause) => reject(new Error(`${method} ${url}: ${cause.message}`, { cause })));
        sent.once("timeout", () => sent.destroy(new Error(`no answer in ${ASK_MS / 1000} s`)));
        sent.end(body?.text);
      });
    },
    close: () => agent.destroy(),
  };
}
