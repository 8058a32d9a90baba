import { createServer, type RequestListener } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { type HttpAnswer, type HttpClient, openHttpClient } from "../../src/http/client.ts";
import { handClock } from "../support/clock.ts";
import { until } from "../support/until.ts";

let client: HttpClient;
beforeEach(() => {
  client = openHttpClient({ clock: systemClock, connections: 2 });
});
afterEach(() => client.close());

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that says exactly this, whatever it is asked. */
async function script(say: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket.setNoDelay(true).on("error", () => socket.destroy()));
    socket.once("data", () => say(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const ask = (url: string, more: object = {}): Promise<HttpAnswer> =>
  client.ask({ url, mostBytes: 10_000, timeoutMs: 5000, ...more });

describe("what goes wrong is a value", () => {
  test("nobody listens", async () => {
    const url = await serve(() => {});
    const { port } = new URL(url);
    expect(await ask(`http://127.0.0.2:${port}/`)).toMatchObject({ kind: "network", text: expect.stringMatching(/./) });
  });
  test("no URL", async () => {
    expect(await ask("nowhere")).toMatchObject({ kind: "network" });
  });
  test("an answer that drips for ever ends at the time for all of it", async () => {
    const clock = handClock();
    const own = openHttpClient({ clock });
    onTestFinished(() => own.close());
    let begun = false;
    const url = await script((socket) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\na");
      begun = true;
    });
    const answer = own.ask({ url, mostBytes: 10_000, timeoutMs: 3000 });
    await until(() => begun, { what: "the request" });
    await clock.advance(2999);
    let over = false;
    void answer.then(() => (over = true));
    await clock.advance(0);
    expect(over).toBe(false);
    await clock.advance(1);
    expect(await answer).toEqual({ kind: "late", text: "no whole answer within 3000 ms" });
    expect(clock.pending).toBe(0);
  });
  test("a body that is too large, announced or not, or only when it is unpacked", async () => {
    const url = await serve((request, response) => {
      if (request.url === "/packed")
        return void response.setHeader("content-encoding", "gzip").end(gzipSync(Buffer.alloc(10_001)));
      if (request.url === "/announced") response.setHeader("content-length", 10_001);
      response.end(Buffer.alloc(10_001));
    });
    for (const path of ["/packed", "/announced", "/chunked"])
      expect(await ask(url + path)).toMatchObject({ kind: "large" });
  });
  test("cut off within the body, packed in another way, not HTTP at all", async () => {
    const cut = await script((s) => s.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"));
    expect(await ask(cut)).toMatchObject({ kind: "network" });
    const brotli = await serve((_, response) => response.setHeader("content-encoding", "br").end("x"));
    expect(await ask(brotli)).toMatchObject({ kind: "strange" });
    const broken = await serve((_, response) => response.setHeader("content-encoding", "gzip").end("x"));
    expect(await ask(broken)).toMatchObject({ kind: "strange" });
    const smtp = await script((s) => s.end("220 mail.example ESMTP\r\n"));
    expect(await ask(smtp)).toMatchObject({ kind: "network" });
  });
  test("told to stop, before and meanwhile; closed", async () => {
    expect(await ask("http://127.0.0.1:9/", { signal: AbortSignal.abort() })).toMatchObject({ kind: "stopped" });
    let asked = 0;
    const url = await script(() => asked++);
    const stop = new AbortController();
    const one = ask(url, { signal: stop.signal });
    await until(() => asked === 1);
    stop.abort();
    expect(await one).toMatchObject({ kind: "stopped" });
    const two = ask(url);
    await until(() => asked === 2);
    await client.close();
    expect(await two).toMatchObject({ kind: "stopped" });
    expect(await ask(url)).toMatchObject({ kind: "stopped" });
  });
});

test("no redirect is followed: the secret stays where it was sent", async () => {
  let leaked = false;
  const thief = await serve((_, response) => {
    leaked = true;
    response.end();
  });
  const url = await serve((_, response) => response.writeHead(302, { location: thief }).end());
  const answer = await ask(url, { headers: { authorization: "Bearer secret" } });
  expect(answer).toMatchObject({ kind: "answer", status: 302, headers: { location: thief } });
  expect(leaked).toBe(false);
});

test("a packed body comes unpacked, an empty one empty; what is sent arrives", async () => {
  const url = await serve((request, response) => {
    if (request.url === "/empty") return void response.setHeader("content-encoding", "gzip").end();
    if (request.method === "POST") return void request.pipe(response.setHeader("x-type", "told"));
    response.setHeader("content-encoding", "gzip").end(gzipSync(`${request.headers.authorization}`));
  });
  const packed = await ask(`${url}/?a=b`, { headers: { authorization: "Bearer x" } });
  expect(packed).toMatchObject({ status: 200, body: Buffer.from("Bearer x") });
  expect(await ask(`${url}/empty`)).toMatchObject({ kind: "answer", body: Buffer.alloc(0) });
  expect(await ask(url, { method: "POST", body: "hello" })).toMatchObject({
    headers: { "x-type": "told" },
    body: Buffer.from("hello"),
  });
});

test("never more connections to a server than allowed", async () => {
  const held: (() => void)[] = [];
  let free = false;
  const sockets = new Set<Socket>();
  const url = await serve((request, response) => {
    sockets.add(request.socket);
    if (free) response.end("x");
    else held.push(() => response.end("x"));
  });
  const answers = Array.from({ length: 20 }, () => ask(url));
  await until(() => held.length === 2, { what: "both connections at work" });
  free = true;
  for (const answer of held) answer();
  expect((await Promise.all(answers)).every((answer) => answer.kind === "answer")).toBe(true);
  expect(held).toHaveLength(2);
  expect(sockets.size).toBe(2);
});
