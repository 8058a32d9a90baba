import { type AddressInfo, createServer, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { type Fetched, type FetchOptions, fetchText } from "../../src/http/fetch.ts";
import { authority, expired, type TestCertificate } from "../support/certificates.ts";
import { openPolicyServer, type PolicyServer } from "../support/policy-server.ts";
import { until } from "../support/until.ts";

let server: PolicyServer;
let closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  closing = [];
});

async function open(answer: PolicyServer["answer"], certificate?: TestCertificate): Promise<void> {
  server = await openPolicyServer(answer, certificate);
  closing.push(server.close);
}

const get = (parts: Partial<FetchOptions> = {}): Promise<Fetched> =>
  fetchText({
    host: "mta-sts.good.test",
    path: "/.well-known/mta-sts.txt",
    addresses: ["127.0.0.1"],
    types: ["text/plain"],
    mostBytes: 65_536,
    timeoutMs: 5_000,
    port: server.port,
    ca: authority,
    clock: systemClock,
    ...parts,
  });

test("a text, from the address given, under the name given", async () => {
  await open("hello\n");
  expect(await get()).toEqual({ kind: "body", text: "hello\n" });
  expect(server.requests).toEqual(["mta-sts.good.test /.well-known/mta-sts.txt"]);
});

test("exactly as large as allowed, and one octet more", async () => {
  await open("x".repeat(65_536));
  expect((await get()).text.length).toBe(65_536);
  server.answer = "x".repeat(65_537);
  expect(await get()).toMatchObject({ kind: "answer", text: /more than 65536/ });
});

describe("what is refused", () => {
  const plain = { "content-type": "text/plain" };
  test.each<[string, PolicyServer["answer"], RegExp]>([
    [
      "a redirect, even to itself",
      (_q, r) => void r.writeHead(301, { ...plain, location: "/.well-known/mta-sts.txt" }).end("version: STSv1"),
      /status 301/,
    ],
    ["not found", (_q, r) => void r.writeHead(404, plain).end("no"), /status 404/],
    ["another success", (_q, r) => void r.writeHead(206, plain).end("part"), /status 206/],
    [
      "a page",
      (_q, r) => void r.writeHead(200, { "content-type": "text/html" }).end("<html>"),
      /content type text\/html/,
    ],
    ["no type", (_q, r) => void r.writeHead(200).end("?"), /content type unknown/],
    ["nearly the type", (_q, r) => void r.writeHead(200, { "content-type": "text/plainly" }).end("?"), /content type/],
    [
      "a bomb",
      (_q, r) => void r.writeHead(200, { ...plain, "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(1e7))),
      /compressed/,
    ],
    ["a megabyte", "x".repeat(1_000_000), /more than 65536/],
    [
      "a stream without end",
      (_q, r) => {
        r.writeHead(200, plain);
        const more = (): void => void (r.write("x".repeat(10_000)) ? setImmediate(more) : r.once("drain", more));
        more();
      },
      /more than 65536/,
    ],
  ])("%s", async (_name, answer, text) => {
    await open(answer);
    expect(await get()).toMatchObject({ kind: "answer", text });
    expect(server.requests).toHaveLength(1);
  });

  test("a body that ends with the connection", async () => {
    await open((_q, r) => {
      r.writeHead(200, { ...plain, "content-length": "100" });
      r.write("version: STSv1\n", () => r.destroy());
    });
    expect(await get()).toMatchObject({ kind: "network" });
  });

  test("headers without end", async () => {
    await open((_q, r) => void r.writeHead(200, { ...plain, "x-long": "x".repeat(20_000) }).end("x"));
    expect(await get()).toMatchObject({ kind: "network" });
  });
});

describe("time", () => {
  test("an endless drip ends when its time is over, and so does the connection", async () => {
    let gone = false;
    await open((_q, r) => {
      r.writeHead(200, { "content-type": "text/plain" });
      const drip = setInterval(() => r.write("x"), 5);
      r.on("close", () => {
        clearInterval(drip);
        gone = true;
      });
    });
    expect(await get({ timeoutMs: 200 })).toMatchObject({ kind: "late" });
    await until(() => gone);
  });

  test("a server that never answers, one that never ends its handshake", async () => {
    await open(() => {});
    expect(await get({ timeoutMs: 200 })).toMatchObject({ kind: "late" });
    const port = await openMute(() => {});
    expect(await get({ port, timeoutMs: 200 })).toMatchObject({ kind: expect.stringMatching(/late|network/) });
  });

  test("told to stop", async () => {
    await open(() => {});
    const stop = new AbortController();
    const fetched = get({ signal: stop.signal });
    await until(() => server.requests.length === 1);
    stop.abort();
    expect(await fetched).toMatchObject({ kind: "network" });
    expect(await get({ signal: stop.signal })).toMatchObject({ kind: "network" });
  });
});

describe("who answers", () => {
  test.each([
    ["a stranger's authority", {}, { ca: expired.chain[0]!.toString() }],
    ["another name", {}, { host: "mta-sts.other.test" }],
  ])("%s", async (_name, _options, parts) => {
    await open("hello");
    expect(await get(parts)).toMatchObject({ kind: "certificate" });
    expect(server.requests).toEqual([]);
  });

  test("an expired certificate", async () => {
    await open("hello", expired);
    expect(await get()).toMatchObject({ kind: "certificate", text: /expired/ });
    expect(server.requests).toEqual([]);
  });

  test("the next address when nobody is at the first; three of them at most; none", async () => {
    await open("hello");
    expect(await get({ addresses: ["127.0.0.2", "127.0.0.1"] })).toMatchObject({ kind: "body" });
    const dead = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
    expect(await get({ addresses: [...dead, "127.0.0.1"] })).toMatchObject({ kind: "network" });
    expect(await get({ addresses: [] })).toMatchObject({ kind: "network" });
  });

  test("it does not speak TLS", async () => {
    await open("hello");
    const port = await openMute((socket) => void socket.end("HTTP/1.1 200 OK\r\n\r\nhello"));
    expect(await get({ port })).toMatchObject({ kind: "network" });
  });
});

/** A server without TLS. */
async function openMute(talk: (socket: Socket) => void): Promise<number> {
  const sockets: Socket[] = [];
  const mute = createServer((socket) => {
    sockets.push(socket.on("error", () => {}));
    talk(socket);
  });
  await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => mute.close(() => resolve()));
  });
  return (mute.address() as AddressInfo).port;
}
