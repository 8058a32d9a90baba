/** The listening server and those who would hold it: with connections that say nothing, slowly, too much, or nonsense. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { Agent, get } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { settingsSchema } from "../../src/config/settings.ts";
import { bareStart } from "../../src/redirector/start.ts";
import { type Listener, type ListenerOptions, openListener } from "../../src/redirector/server.ts";
import { link, openTestRedirector, sayRaw, token } from "../support/redirector.ts";
import { until } from "../support/until.ts";

let listener: Listener;
let answered: string[];
/** Requests that wait for an answer while it is set. */
let held: (() => void)[] | null;
const open = async (more: Partial<ListenerOptions> = {}): Promise<void> => {
  listener = await openListener({
    host: "127.0.0.1",
    port: 0,
    certificates: null,
    clock: systemClock,
    log: silentLog,
    mostConnections: 100,
    handle(request, response) {
      const answer = (): void => {
        answered.push(request.url ?? "");
        response.writeHead(200, ["content-length", "0"]).end();
      };
      if (held === null) answer();
      else held.push(answer);
    },
    ...more,
  });
};
beforeEach(() => {
  answered = [];
  held = null;
});
afterEach(() => listener.close());

const GET = "GET /x HTTP/1.1\r\nHost: t\r\n\r\n";

/** A connection that is kept open. */
async function hold(text = ""): Promise<Socket & { heard: string }> {
  const socket = Object.assign(connect(listener.port, "127.0.0.1"), { heard: "" });
  onTestFinished(() => void socket.destroy());
  socket.setEncoding("latin1").on("data", (part: string) => (socket.heard += part));
  socket.on("error", () => {});
  await until(() => socket.readyState === "open");
  if (text !== "") socket.write(text);
  return socket;
}

describe("who is slow is not waited for", () => {
  const limits = { headersTimeout: 200, requestTimeout: 400, connectionsCheckingInterval: 50, keepAliveTimeout: 200 };
  test.each<[string, string]>([
    ["says nothing", ""],
    ["says one octet", "G"],
    ["never ends its headers", "GET /x HTTP/1.1\r\nHost: t\r\nX-A: b\r\n"],
    ["never ends its body", "POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nab"],
    ["says no more after an answer", GET],
  ])("who %s", async (_what, text) => {
    await open({ limits });
    const socket = await hold(text);
    await until(() => socket.closed, { what: "the connection to be closed" });
    await until(() => listener.connections === 0);
  });

  test("who drips its headers", async () => {
    await open({ limits });
    const socket = await hold("GET /x HTTP/1.1\r\nHost: t\r\n");
    const drip = setInterval(() => socket.write("X-A: b\r\n"), 20);
    onTestFinished(() => clearInterval(drip));
    await until(() => socket.closed, { what: "the connection to be closed" });
    expect(socket.heard).toMatch(/^HTTP\/1.1 408 /);
    expect(answered).toEqual([]);
  });
});

describe("what is no request", () => {
  beforeEach(() => open());
  test.each<[string, string, RegExp]>([
    ["headers without end", `GET /x HTTP/1.1\r\nHost: t\r\nX: ${"x".repeat(30_000)}\r\n\r\n`, /^HTTP\/1.1 431 /],
    ["an address without end", `GET /${"x".repeat(30_000)} HTTP/1.1\r\nHost: t\r\n\r\n`, /^HTTP\/1.1 431 /],
    ["another protocol", "EHLO mail.example\r\n\r\n", /^HTTP\/1.1 400 /],
    ["a method nobody knows", "BREW /x HTTP/1.1\r\nHost: t\r\n\r\n", /^HTTP\/1.1 400 /],
    ["no host", "GET /x HTTP/1.1\r\n\r\n", /^HTTP\/1.1 400 /],
    ["a control character", "GET /\x01 HTTP/1.1\r\nHost: t\r\n\r\n", /^HTTP\/1.1 400 /],
    [
      "two lengths",
      "POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
      /^HTTP\/1.1 400 /,
    ],
    [
      "a length and chunks",
      "POST /x HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      /^HTTP\/1.1 400 /,
    ],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", /^HTTP\/1.1 400 /],
    ["a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n", /^(HTTP\/1.1 4\d\d |$)/],
  ])("%s", async (_what, text, expected) => {
    expect(await sayRaw(listener.port, text)).toMatch(expected);
    expect(answered).toEqual([]);
    expect(await sayRaw(listener.port, GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))).toMatch(
      /^HTTP\/1.1 200 /,
    );
  });
});

describe("the bound on connections", () => {
  test("who has said nothing yet goes first, the oldest of them, and a new one is served", async () => {
    await open({ mostConnections: 4 });
    const kept = await hold(GET);
    await until(() => answered.length === 1);
    const silent = [await hold(), await hold(), await hold()];
    await until(() => listener.connections === 4);
    const fresh = await hold(GET);
    await until(() => answered.length === 2);
    await until(() => silent[0]!.closed);
    expect([kept, silent[1]!, silent[2]!, fresh].map((socket) => socket.closed)).toEqual([false, false, false, false]);
  });

  test("then who has nothing to say at the moment; never who waits for an answer", async () => {
    await open({ mostConnections: 3 });
    held = [];
    const waiting = await hold(GET);
    await until(() => held!.length === 1);
    const answer = held[0]!;
    held = null;
    const idle = await hold(GET);
    const other = await hold(GET);
    await until(() => answered.length === 2);
    const fresh = await hold(GET);
    await until(() => answered.length === 3);
    await until(() => idle.closed && other.closed);
    answer();
    await until(() => waiting.heard.startsWith("HTTP/1.1 200 "));
    expect(fresh.closed).toBe(false);
  });

  test("when all wait for an answer, a new one has to go", async () => {
    await open({ mostConnections: 2 });
    held = [];
    const waiting = [await hold(GET), await hold(GET)];
    await until(() => held!.length === 2);
    const fresh = connect(listener.port, "127.0.0.1").on("error", () => {});
    await until(() => fresh.closed);
    for (const answer of held) answer();
    await until(() => waiting.every((socket) => socket.heard.startsWith("HTTP/1.1 200 ")));
  });
});

test("a drain lets come to its end what is under way, and nothing else", async () => {
  await open();
  held = [];
  const waiting = await hold(GET);
  const silent = await hold();
  await until(() => held!.length === 1 && listener.connections === 2);
  const closing = listener.close();
  await until(() => silent.closed);
  expect(waiting.closed).toBe(false);
  held[0]!();
  await closing;
  expect(waiting.heard).toMatch(/^HTTP\/1.1 200 /);
});

test("without keys it does not start: it would answer 404 to everybody, and look well", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "postilion-no-keys-"));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  const settings = settingsSchema.parse({
    dataDir,
    tracking: { url: "http://t.example.com" },
    redirector: { port: 0 },
  });
  const started = bareStart({ settings, log: silentLog, clock: systemClock });
  await expect(started).rejects.toMatchObject({
    code: "KEY_UNREADABLE",
    message: expect.stringContaining("token.json"),
  });
  expect(existsSync(join(dataDir, "keys/token.json"))).toBe(false);
});

test("a port that is in use is a fault", async () => {
  await open();
  const taken = openListener({
    host: "127.0.0.1",
    port: listener.port,
    certificates: null,
    clock: systemClock,
    log: silentLog,
    mostConnections: 1,
    handle: () => {},
  });
  await expect(taken).rejects.toMatchObject({ code: "PORT_TAKEN" });
});

test("connections are kept for the next click", async () => {
  await open();
  const server = await openTestRedirector();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sockets = new Set<unknown>();
  for (let i = 0; i < 5; i++) {
    await new Promise<void>((resolve, reject) => {
      get({ port: server.port, path: `/r/${token(1)}/${link()}`, agent }, (response) => {
        sockets.add(response.socket);
        response.resume().on("end", resolve);
      }).on("error", reject);
    });
  }
  expect(sockets.size).toBe(1);
  agent.destroy();
  await server.close();
});
