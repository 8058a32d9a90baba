import { readFileSync } from "node:fs";
import { connect as connectTls } from "node:tls";
import { beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { type Log, silentLog } from "../../src/base/log.ts";
import { clientProof, serverProof } from "../../src/quota/handshake.ts";
import { MOST_LINE, type ServerMessage } from "../../src/quota/messages.ts";
import type { StatServerOptions } from "../../src/stat/server.ts";
import { noGovernor, type SmallEngine } from "../support/small-engine.ts";
import { acquire, greet, type RawClient } from "../support/stat-client.ts";
import {
  closeAfterEach,
  memberOf,
  OTHER,
  SECRET,
  type SmallServer,
  smallServer,
  stranger,
} from "../support/stat-server.ts";
import { until } from "../support/until.ts";

closeAfterEach();
let engine: SmallEngine;
let server: SmallServer;
let logged: { readonly fields: object; readonly text: string }[] = [];
const log: Log = { ...silentLog, error: (fields, text) => void logged.push({ fields, text }), child: () => log };

async function open(options: Partial<StatServerOptions> = {}): Promise<void> {
  server = await smallServer({ log, ...options });
  // One that is given its own parts goes on with the engine there is.
  if (options.open === undefined) ({ engine } = server);
}
const client = (): Promise<RawClient> => stranger(server);
const member = (name: string): Promise<RawClient> => memberOf(server, name);

beforeEach(async () => {
  logged = [];
  await open();
});

describe("greeting", () => {
  test("both ends prove that they know the secret", async () => {
    const a = await client();
    const hello = (await greet(a, SECRET)) as { nonce: string };
    const challenge = await a.hears("challenge");
    const welcome = await a.hears("welcome");
    expect(welcome.proof).toBe(serverProof(SECRET, hello.nonce, challenge.nonce));
    expect(a.heard.map(({ t }) => t)).toEqual(["challenge", "welcome"]);
    expect(engine.joined).toEqual(["m1/0"]);
  });

  test("a wrong secret: an error, and nothing else", async () => {
    const a = await client();
    await greet(a, OTHER);
    await until(() => a.closed);
    expect(a.heard.map(({ t }) => t)).toEqual(["challenge", "error"]);
    expect(a.text).not.toContain(SECRET.toString());
    expect(engine.joined).toEqual([]);
  });

  test("a proof that was overheard is worth nothing on another connection", async () => {
    const a = await client();
    const hello = await greet(a, SECRET);
    await a.hears("welcome");
    const b = await client();
    await b.hears("challenge");
    b.say(hello);
    await until(() => b.closed);
    expect(b.heard.map(({ t }) => t)).toEqual(["challenge", "error"]);
    expect(engine.joined).toEqual(["m1/0"]);
  });

  test("a proof for one name is none for another", async () => {
    const a = await client();
    const { nonce } = await a.hears("challenge");
    const b = await client();
    await greet(b, SECRET, { member: "m2/0" });
    a.say({ ...(await greetText(nonce)), member: "m3/0" });
    await until(() => a.closed);
    expect(a.heard.at(-1)?.t).toBe("error");
  });

  test("another version of the protocol is told so", async () => {
    const a = await client();
    await greet(a, SECRET, { v: 2 });
    const { text } = await a.hears("error");
    expect(text).toContain("version 1");
  });

  test("who says nothing, or an octet at a time, is closed after five seconds", async () => {
    const [silent, slow] = await Promise.all([client(), client()]);
    const drip = setInterval(() => slow.closed || slow.write(" "), 20);
    await until(() => silent.closed && slow.closed, { timeoutMs: 25_000 });
    clearInterval(drip);
    for (const { heard } of [silent, slow]) expect(heard.map(({ t }) => t)).toEqual(["challenge", "error"]);
  });

  test("silent strangers do not keep a member out", async () => {
    const strangers = await Promise.all(Array.from({ length: 130 }, () => client()));
    const a = await member("m1/0");
    expect(a.closed).toBe(false);
    await until(() => strangers.filter((each) => each.closed).length >= 30);
  });

  async function greetText(nonce: string): Promise<object> {
    const proof = clientProof(SECRET, nonce, "ab".repeat(24), "m2/0");
    return { t: "hello", v: 1, role: "member", nonce: "ab".repeat(24), proof, process: "0123456789abcdef", held: [] };
  }
});

describe("a name that is there already", () => {
  test("the newer connection wins, the older is told", async () => {
    const a = await member("m1/0");
    const b = await member("m1/0");
    const { text } = await a.hears("error");
    expect(text).toContain("newer connection");
    await until(() => a.closed);
    b.say(acquire(1));
    await b.hears("grant");
    expect(engine.left).toEqual(["m1/0"]);
  });

  test("without the secret nobody is thrown out", async () => {
    const a = await member("m1/0");
    const b = await client();
    await greet(b, OTHER, { member: "m1/0" });
    await until(() => b.closed);
    a.say(acquire(1));
    await a.hears("grant");
    expect(engine.left).toEqual([]);
  });
});

describe("what is said", () => {
  test("a request that cannot be met waits and is granted when room appears", async () => {
    const [a, b] = [await member("m1/0"), await member("m2/0")];
    a.say(acquire(1));
    a.say(acquire(2));
    await until(() => a.heard.filter(({ t }) => t === "grant").length === 2);
    b.say(acquire(1));
    b.say({ t: "ping", id: 1 });
    await b.hears("pong");
    expect(b.heard.some(({ t }) => t === "grant")).toBe(false);
    a.say({ t: "release", conn: 2, back: [] });
    await b.hears("grant");
  });

  test("what a lost member held is free, when the engine says so", async () => {
    const [a, b] = [await member("m1/0"), await member("m2/0")];
    a.say(acquire(1));
    a.say(acquire(2));
    await until(() => a.heard.filter(({ t }) => t === "grant").length === 2);
    b.say(acquire(1));
    a.close();
    await b.hears("grant");
    expect(engine.left).toEqual(["m1/0"]);
  });

  test("an Error of the engine is told, and the client cut off", async () => {
    const a = await member("m1/0");
    a.say(acquire(1, { site: "refused" }));
    expect((await a.hears("error")).text).toBe("nobody sends there");
    await until(() => a.closed);
    expect(engine.left).toEqual(["m1/0"]);
    expect(logged).toEqual([]);
  });

  test("a bug costs the one connection, and the log knows it", async () => {
    const [a, b] = [await member("m1/0"), await member("m2/0")];
    a.say(acquire(1, { site: "bug" }));
    expect((await a.hears("error")).text).toBe("the server failed at this message");
    b.say(acquire(1));
    await b.hears("grant");
    expect(logged.map(({ text }) => text)).toEqual(["bug: a message could not be handled"]);
  });

  test("an observer asks, and nothing else", async () => {
    const a = await client();
    await greet(a, SECRET, { member: "cli/1", role: "observer" });
    await a.hears("welcome");
    a.say({ t: "query", id: 3, what: "sites", args: { site: "x" } });
    expect(await a.hears("answer")).toEqual({ t: "answer", id: 3, data: { what: "sites", args: { site: "x" } } });
    a.say({ t: "ping", id: 9 });
    await a.hears("pong");
    expect(engine.joined).toEqual([]);
    a.say(acquire(1));
    expect((await a.hears("error")).text).toBe("an observer only asks");
    expect(engine.heard).toEqual([]);
  });

  test("an answer that fails is an answer; one that is too long says so", async () => {
    await server.close();
    await open({
      open: () => ({
        engine,
        governor: noGovernor(),
        queries: (what) => {
          if (what === "reload") return Promise.reject(new Error("rules.yaml:3: no such scope"));
          if (what === "site") throw new Error("there is no such site");
          return what === "sites" ? "x".repeat(MOST_LINE) : undefined;
        },
      }),
    });
    const a = await member("m1/0");
    for (const [id, what] of ["reload", "site", "sites", "lanes"].entries()) a.say({ t: "query", id, what, args: {} });
    await until(() => a.heard.filter(({ t }) => t === "answer").length === 4);
    const answers = new Map(a.heard.flatMap((each) => (each.t === "answer" ? [[each.id, each.data]] : [])));
    expect(answers.get(0)).toEqual({ error: "rules.yaml:3: no such scope" });
    expect(answers.get(1)).toEqual({ error: "there is no such site" });
    expect(answers.get(2)).toEqual({ error: expect.stringContaining("too long") as string });
    expect(answers.get(3)).toBeNull();
    expect(a.closed).toBe(false);
  });

  test("questions without an answer are bounded", async () => {
    await server.close();
    await open({ open: () => ({ engine, governor: noGovernor(), queries: () => new Promise(() => {}) }) });
    const a = await member("m1/0");
    for (let id = 0; id < 17; id++) a.say({ t: "query", id, what: "sites", args: {} });
    expect((await a.hears("error")).text).toContain("queries at once");
  });

  test("a client that does not read what it is told is cut", async () => {
    await server.close();
    let tell: ((message: ServerMessage) => void) | null = null;
    await open({
      open: () => ({
        governor: noGovernor(),
        queries: () => null,
        engine: {
          ...engine,
          join(name, hello, now, send) {
            tell = send;
            engine.join(name, hello, now, send);
          },
        },
      }),
    });
    const a = await member("m1/0");
    a.socket.pause();
    const text = "x".repeat(100_000);
    const more = setInterval(() => tell?.({ t: "answer", id: 1, data: text }), 1);
    await until(() => engine.left.includes("m1/0"));
    clearInterval(more);
    const b = await member("m2/0");
    b.say(acquire(1));
    await b.hears("grant");
  });

  test("a client that asks and does not read is not read from", { timeout: 60_000 }, async () => {
    let asked = 0;
    await server.close();
    await open({
      open: () => ({
        engine,
        governor: noGovernor(),
        queries: () => {
          asked++;
          return "x".repeat(200_000);
        },
      }),
    });
    const a = await member("m1/0");
    a.socket.pause();
    const ask = setInterval(() => a.say({ t: "query", id: 1, what: "sites", args: { text: "x".repeat(50_000) } }), 1);
    await until(() => a.socket.writableLength > 1_000_000, { timeoutMs: 40_000 });
    clearInterval(ask);
    // What the kernel's buffers take of the answers, and a turn more.
    expect(asked).toBeLessThan(100);
  });

  test("what the engine waits for comes in time, and a wanted save is made", async () => {
    engine.at = systemClock.now() + 20;
    engine.wants = true;
    const a = await member("m1/0");
    await until(() => engine.ticks === 1 && engine.saves >= 1);
    a.say({ t: "ping", id: 1 });
    await a.hears("pong");
    expect(engine.ticks).toBe(1);
  });

  test("a server that goes says so", async () => {
    const a = await member("m1/0");
    const stranger = await client();
    await server.close();
    expect((await a.hears("leave")).text).toBe("this server is going");
    await until(() => a.closed && stranger.closed);
  });
});

test("TLS: the same over an encrypted connection; plain octets are not answered", async () => {
  const cert = readFileSync(new URL("../support/tls/localhost.crt", import.meta.url), "utf8");
  const key = readFileSync(new URL("../support/tls/localhost.key", import.meta.url), "utf8");
  await server.close();
  await open({ tls: { cert, key } });
  const socket = connectTls({ port: server.port, host: "127.0.0.1", ca: cert });
  let text = "";
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  socket.on("error", () => socket.destroy());
  await until(() => text.includes('"challenge"'));
  socket.destroy();
  const a = await client();
  a.write('{"t":"ping","id":1}\n');
  await until(() => a.closed);
  expect(engine.joined).toEqual([]);
});
