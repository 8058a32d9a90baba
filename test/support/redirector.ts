/**
 * A redirection server as the module starts it, on a folder and a port of its own, with keys to sign with, and a web beside it that a test scripts. Asked
 * over real sockets; what it wrote down is pulled as a workflow does.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request as ask, type IncomingHttpHeaders, type RequestListener } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "../../src/base/clock.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { settingsSchema } from "../../src/config/settings.ts";
import { type Link, signLink } from "../../src/model/link.ts";
import { signToken, type TokenKey } from "../../src/model/token.ts";
import { decodeRecord, type TrackingRecord } from "../../src/model/tracking.ts";
import { bareStart } from "../../src/redirector/start.ts";

export const SECRET = "tracking-secret-of-the-tests-0123456789";
export const testKey = (id: number): TokenKey => ({ id, secret: Buffer.alloc(32, id) });
export const KEY = testKey(1);

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface TestRedirector {
  readonly port: number;
  readonly url: string;
  /** Where log, stops and cache are. */
  readonly folder: string;
  ask(path: string, options?: AskOptions): Promise<Answer>;
  /** What it has written down; throws at a damaged line. */
  records(): Promise<TrackingRecord[]>;
  writeKeys(keys: readonly TokenKey[]): void;
  /** Ends it, and starts it again on the same folder and port; in between something may be done to the folder. */
  restart(between?: () => void): Promise<void>;
  close(): Promise<void>;
}

export interface TestRedirectorOptions {
  /** Of the section `redirector`. */
  readonly settings?: object;
  readonly tracking?: object;
  /** Its name. */
  readonly machine?: string;
  readonly keys?: readonly TokenKey[];
  readonly clock?: Clock;
  readonly log?: Log;
}

export async function openTestRedirector(options: TestRedirectorOptions = {}): Promise<TestRedirector> {
  const dataDir = mkdtempSync(join(tmpdir(), "postilion-redirector-"));
  mkdirSync(join(dataDir, "keys"), { mode: 0o700 });
  writeFileSync(join(dataDir, "keys/tracking.secret"), SECRET, { mode: 0o600 });
  writeKeys(options.keys ?? [KEY]);
  const start = (port: number) =>
    bareStart({
      settings: settingsSchema.parse({
        dataDir,
        machine: options.machine ?? "test",
        tracking: { url: "http://t.example.com", ...options.tracking },
        // Nobody is there; a test that wants a web says where.
        redirector: { port, web: "http://127.0.0.1:9", ...options.settings },
      }),
      log: options.log ?? silentLog,
      clock: options.clock ?? systemClock,
    });
  let running = await start(0);
  const { port } = running;

  function writeKeys(keys: readonly TokenKey[]): void {
    const text = keys.map(({ id, secret }) => ({ id, secret: Buffer.from(secret).toString("base64") }));
    writeFileSync(join(dataDir, "keys/token.json"), JSON.stringify({ keys: text }), { mode: 0o600 });
  }

  return {
    port,
    url: `http://127.0.0.1:${port}`,
    folder: join(dataDir, "redirector"),
    ask: (path, asked) => askPort(port, path, asked),
    records: () => recordsOf(port),
    writeKeys,
    async restart(between) {
      await running.drain();
      between?.();
      running = await start(port);
    },
    async close() {
      await running.drain();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** What a redirection server has written down; throws at a damaged line. */
export async function recordsOf(port: number): Promise<TrackingRecord[]> {
  const records: TrackingRecord[] = [];
  for (let after = "0"; ;) {
    const { status, headers, body } = await askPort(port, `/log?after=${after}`, {
      headers: { authorization: `Bearer ${SECRET}` },
    });
    if (status !== 200) throw new Error(`/log: ${status} ${body}`);
    for (const line of body.split("\n").filter(Boolean)) {
      const record = decodeRecord(line);
      if (typeof record === "string") throw new Error(`${record}: ${line}`);
      records.push(record);
    }
    if (headers["x-next"] === after) return records;
    after = String(headers["x-next"]);
  }
}

/** One request over a connection of its own. */
export function askPort(
  port: number,
  path: string,
  { method = "GET", headers, body }: AskOptions = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = ask({ host: "127.0.0.1", port, path, method, headers: { ...headers }, agent: false }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(parts).toString("utf8"),
        }),
      );
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Sends exactly this and resolves with all that came until the server closed. */
export function sayRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(text, "latin1"));
    let heard = "";
    socket.setEncoding("latin1").on("data", (part: string) => (heard += part));
    socket.once("error", reject).once("close", () => resolve(heard));
  });
}

export const token = (message: number, key: TokenKey = KEY): string => signToken(key, message);
export const link = (more: Partial<Link> = {}, key: TokenKey = KEY): string =>
  signLink(key, { kind: "click", delivery: 7, number: 3, url: "https://www.example.com/shop?a=b", ...more });

/** A web module, as far as redirection servers see one. */
export async function openTestWeb(listener: RequestListener): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
