import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog } from "../../src/base/log.ts";
import { drawNonce, serverProof } from "../../src/quota/handshake.ts";
import type { Link, LinkEvents } from "../../src/quota/link-contract.ts";
import { addressOf } from "../../src/quota/link/address.ts";
import { askStat, type AskOptions } from "../../src/quota/link/ask.ts";
import { openTcpLink, type TcpLinkOptions } from "../../src/quota/link.ts";
import type { ClientMessage } from "../../src/quota/messages.ts";
import { openStatServer, type StatServer, type StatServerOptions } from "../../src/stat/server.ts";
import { handClock } from "../support/clock.ts";
import { freePort } from "../support/free-port.ts";
import { openSilentProxy } from "../support/silent-proxy.ts";
import { noGovernor, type SmallEngine, smallEngine } from "../support/small-engine.ts";
import { acquire } from "../support/stat-client.ts";
import { until } from "../support/until.ts";

const SECRET = Buffer.from("a secret of more than thirty-two characters");
const OTHER = Buffer.from("another secret of more than thirty-two chars");
const tlsFile = (name: string): string => readFileSync(new URL(`../support/tls/${name}`, import.meta.url), "utf8");
const cert = tlsFile("localhost.crt");
const key = tlsFile("localhost.key");

const open: (() => unknown)[] = [];
afterEach(async () => {
  for (let close = open.pop(); close !== undefined; close = open.pop()) await close();
});

interface Heard {
  readonly events: string[];
  readonly messages: { readonly t: string }[];
  readonly link: Link;
  readonly down: string[];
}

/** A link that is open, and what it told in order. */
function link(addresses: readonly (string | number)[], options: Partial<TcpLinkOptions> = {}): Heard {
  const events: string[] = [];
  const messages: { readonly t: string }[] = [];
  const down: string[] = [];
  const opened = openTcpLink({
    addresses: addresses.map((each) => (typeof each === "number" ? `127.0.0.1:${each}` : each)),
    secret: SECRET,
    member: "m1/0",
    tls: null,
    clock: systemClock,
    log: silentLog,
    ...options,
  });
  const told: LinkEvents = {
    held() {
      events.push("held");
      return { process: "0123456789abcdef", held: [] };
    },
    up: () => void events.push("up"),
    message(message) {
      events.push(message.t);
      messages.push(message);
    },
    down(why) {
      events.push("down");
      down.push(why);
    },
  };
  opened.open(told);
  open.push(() => opened.close());
  return { events, messages, link: opened, down };
}

async function statServer(options: Partial<StatServerOptions> = {}): Promise<StatServer & { engine: SmallEngine }> {
  const engine = smallEngine(2);
  const server = await openStatServer({
    host: "127.0.0.1",
    port: 0,
    secret: SECRET,
    sql: null,
    leaderMs: 1000,
    snapshotMs: 1000,
    clock: systemClock,
    random: Math.random,
    log: silentLog,
    open: () => ({ engine, governor: noGovernor(), queries: (what, args) => ({ what, args }) }),
    ...options,
  });
  open.push(() => server.close());
  return Object.assign(server, { engine });
}

interface Fake {
  readonly port: number;
  readonly heard: string;
  readonly connections: number;
}

/** A server of another kind: `talk` is called with each connection and with each line. */
async function fake(talk: (socket: Socket, line: string | null) => void): Promise<Fake> {
  let heard = "";
  let connections = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    connections++;
    sockets.add(socket);
    let rest = "";
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      heard += chunk.toString();
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) talk(socket, line);
    });
    talk(socket, null);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  open.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return {
    port: (server.address() as AddressInfo).port,
    get heard() {
      return heard;
    },
    get connections() {
      return connections;
    },
  };
}

const say = (socket: Socket, message: object): void => void socket.write(`${JSON.stringify(message)}\n`);
const challenge = { t: "challenge", v: 1, nonce: drawNonce() };
const welcome = { t: "welcome", proof: "00", now: 1, members: 1, horizonMs: 1, silenceMs: 1 };

/** Greets as it should be done, then calls `then`. */
function greeting(socket: Socket, line: string | null, then: (socket: Socket) => void): void {
  if (line === null) return say(socket, challenge);
  const { t, nonce } = JSON.parse(line) as { t: string; nonce: string };
  if (t !== "hello") return;
  say(socket, { ...welcome, proof: serverProof(SECRET, nonce, challenge.nonce) });
  then(socket);
}

describe("a link", () => {
  test("greets, says, hears, in order", async () => {
    const server = await statServer();
    const a = link([server.port]);
    await until(() => a.events.includes("up"));
    a.link.send(acquire(1) as ClientMessage);
    await until(() => a.events.includes("grant"));
    expect(a.events).toEqual(["held", "up", "grant"]);
    expect(server.engine.joined).toEqual(["m1/0"]);
  });

  test("what is said before it is up is dropped; a cut is told later, and it comes back", async () => {
    const server = await statServer();
    const a = link([server.port]);
    a.link.send(acquire(1) as ClientMessage);
    await until(() => a.events.includes("up"));
    a.link.cut("for a test");
    expect(a.events).toEqual(["held", "up"]);
    await until(() => a.events.filter((each) => each === "up").length === 2);
    expect(a.events).toEqual(["held", "up", "down", "held", "up"]);
    expect(a.down[0]).toContain("for a test");
    expect(server.engine.heard).toEqual([]);
  });

  test("closed, it tells nothing more", async () => {
    const server = await statServer();
    const a = link([server.port]);
    await until(() => a.events.includes("up"));
    a.link.close();
    await until(() => server.engine.left.length > 0);
    expect(a.events).toEqual(["held", "up"]);
  });

  test("is there again after its server was away", async () => {
    const port = await freePort();
    const first = await statServer({ port });
    const a = link([port]);
    await until(() => a.events.includes("up"));
    await first.close();
    await until(() => a.events.includes("down"));
    expect(a.messages.at(-1)).toEqual({ t: "leave", text: "this server is going" });
    const second = await statServer({ port });
    await until(() => second.engine.joined.length === 1);
    expect(a.events).toEqual(["held", "up", "leave", "down", "held", "up"]);
  });

  test("finds the one that leads among several addresses", async () => {
    const dead = await freePort();
    const standby = await fake((socket, line) => {
      if (line === null) say(socket, challenge);
      else say(socket, { t: "leave", text: "the leader is another" });
    });
    const server = await statServer();
    const a = link([dead, standby.port, server.port]);
    await until(() => a.events.includes("up"));
    expect(server.engine.joined).toEqual(["m1/0"]);
    expect(a.events).toEqual(["held", "down", "held", "up"]);
  });

  test("a server that falls silent is dead after four seconds, pings notwithstanding", async () => {
    const clock = handClock();
    const server = await statServer();
    const proxy = await openSilentProxy(server.port);
    open.push(() => proxy.close());
    const a = link([proxy.port], { clock });
    await until(async () => {
      await clock.advance(1);
      return a.events.includes("up");
    });
    // As long as it answers it may take its time.
    for (let i = 0; i < 10; i++) {
      const before = server.engine.heard.length;
      await clock.advance(1000);
      await until(() => server.engine.heard.length > before);
    }
    expect(a.down).toEqual([]);
    proxy.silence();
    await clock.advance(3000);
    expect(a.down).toEqual([]);
    await clock.advance(3000);
    await until(() => a.down.length === 1);
    expect(a.down[0]).toContain("nothing was heard");
  });

  test("a server that accepts and does not greet is left after three seconds", async () => {
    const clock = handClock();
    const mute = await fake(() => {});
    const server = await statServer();
    const a = link([mute.port, server.port], { clock });
    await until(async () => {
      await clock.advance(100);
      return a.events.includes("up");
    });
    expect(mute.connections).toBe(1);
    expect(a.events).toEqual(["held", "up"]);
  });

  test("more addresses of a domain than fit are left out, and the connection stays", async () => {
    const server = await statServer();
    const a = link([server.port]);
    await until(() => a.events.includes("up"));
    const exchangers = Array.from({ length: 1300 }, (_, i) => ({ mx: `${"x".repeat(240)}.${i}`, ip: "127.0.0.1" }));
    a.link.send(acquire(1, { exchangers }) as ClientMessage);
    await until(() => a.events.includes("grant"));
    expect(server.engine.heard[0]?.message).toMatchObject({ t: "acquire", exchangers: exchangers.slice(0, 64) });
  });
});

describe("whom it does not believe", () => {
  test("a server that does not know the secret hears a hello and nothing else", async () => {
    const impostor = await fake((socket, line) => {
      if (line === null) return say(socket, challenge);
      say(socket, {
        ...welcome,
        proof: serverProof(OTHER, (JSON.parse(line) as { nonce: string }).nonce, challenge.nonce),
      });
      say(socket, { t: "grant", id: 1, conn: 1, chosen: 0, limits: null, messages: 1_000_000, at: 1, until: 9e15 });
    });
    const a = link([impostor.port]);
    await until(() => a.down.length === 1);
    expect(a.events).toEqual(["held", "down"]);
    expect(a.down[0]).toContain("does not know the secret");
    expect(impostor.heard.split("\n").filter(Boolean).length).toBe(1);
    expect(impostor.heard).not.toContain(SECRET.toString());
  });

  test("a welcome that was overheard on another connection", async () => {
    let overheard: object | null = null;
    const parrot = await fake((socket, line) => {
      if (line === null) return say(socket, challenge);
      overheard ??= {
        ...welcome,
        proof: serverProof(SECRET, (JSON.parse(line) as { nonce: string }).nonce, challenge.nonce),
      };
      say(socket, overheard);
    });
    const a = link([parrot.port]);
    await until(() => a.events.includes("up"));
    a.link.cut("again");
    await until(() => a.down.length === 2);
    expect(a.events).toEqual(["held", "up", "down", "held", "down"]);
  });

  test("its own proof sent back to it", async () => {
    const mirror = await fake((socket, line) => {
      if (line === null) return say(socket, challenge);
      say(socket, { ...welcome, proof: (JSON.parse(line) as { proof: string }).proof });
    });
    const a = link([mirror.port]);
    await until(() => a.down.length === 1);
    expect(a.events).toEqual(["held", "down"]);
  });

  test("a welcome without a challenge: no hello is said", async () => {
    const rude = await fake((socket, line) => {
      if (line === null) say(socket, { ...welcome, proof: serverProof(SECRET, "", "") });
    });
    const a = link([rude.port]);
    await until(() => rude.connections >= 1);
    const server = await statServer();
    const b = link([rude.port, server.port]);
    await until(() => b.events.includes("up"));
    expect(rude.heard).toBe("");
    expect(a.events).toEqual([]);
  });

  const garbage: Readonly<Record<string, string | Buffer>> = {
    "no JSON": "220 mx.test ESMTP\r\n",
    binary: Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 91) % 256)),
    "a line without an end": "x".repeat(1_000_000),
    "a kind there is not": '{"t":"constructor"}\n',
    "a grant of text": '{"t":"grant","id":"1","conn":1,"chosen":0,"limits":null,"messages":1,"at":1,"until":1}\n',
    "a grant of a negative number":
      '{"t":"grant","id":1,"conn":1,"chosen":0,"limits":null,"messages":-1,"at":1,"until":1}\n',
    "a time without end": '{"t":"pong","id":1,"now":1e999}\n',
    "a revoke of nothing": '{"t":"revoke","conns":null,"hold":{}}\n',
    "rules that are none": '{"t":"rules","first":true,"last":true,"rules":[1]}\n',
    "deep JSON": `{"t":"answer","id":1,"data":${"[".repeat(100_000)}\n`,
    null: "null\n",
  };
  test.each(Object.entries(garbage))("a server that says %s", async (_name, bytes) => {
    const odd = await fake((socket, line) => greeting(socket, line, (each) => void each.write(bytes)));
    const a = link([odd.port]);
    await until(() => a.down.length === 1);
    expect(a.events).toEqual(["held", "up", "down"]);
    expect(a.messages).toEqual([]);
  });

  test("another version of the protocol", async () => {
    const newer = await fake((socket, line) => void (line ?? say(socket, { ...challenge, v: 2 })));
    await expect(ask([newer.port])).rejects.toThrow(/STAT_REFUSED|version 2/);
  });
});

describe("TLS", () => {
  test("with the authority that is trusted it is up; with another it is not", async () => {
    const server = await statServer({ tls: { cert, key } });
    const a = link([`localhost:${server.port}`], { tls: { ca: cert } });
    await until(() => a.events.includes("up"));
    await expect(ask([server.port], { tls: { ca: null } })).rejects.toMatchObject({ code: "STAT_REFUSED" });
  });

  test("a name that is not in the certificate is refused", async () => {
    const server = await statServer({ tls: { cert, key }, host: "127.0.0.2" });
    await expect(ask([`127.0.0.2:${server.port}`], { tls: { ca: cert } })).rejects.toMatchObject({
      code: "STAT_REFUSED",
    });
  });

  test("a server without TLS is told nothing", async () => {
    const plain = await fake((socket, line) => void (line ?? say(socket, challenge)));
    await expect(ask([plain.port], { tls: { ca: cert } })).rejects.toMatchObject({ code: "STAT_REFUSED" });
    expect(plain.heard).not.toContain("hello");
  });
});

function ask(
  addresses: readonly (string | number)[],
  options: Partial<AskOptions> = {},
  timeoutMs = 2000,
): Promise<unknown> {
  return askStat(
    {
      addresses: addresses.map((each) => (typeof each === "number" ? `127.0.0.1:${each}` : each)),
      secret: SECRET,
      tls: null,
      clock: systemClock,
      name: "test",
      ...options,
    },
    "sites",
    { site: "mx.test" },
    timeoutMs,
  );
}

describe("a question", () => {
  test("is answered by whoever leads, and leaves no connection", async () => {
    const dead = await freePort();
    const server = await statServer();
    expect(await ask([dead, server.port])).toEqual({ what: "sites", args: { site: "mx.test" } });
    await until(() => server.connections === 0);
    expect(server.engine.joined).toEqual([]);
  });

  test("nobody there: which address, and why", async () => {
    const [one, two] = [await freePort(), await freePort()];
    const asked = ask([one, two]);
    await expect(asked).rejects.toMatchObject({ code: "STAT_UNREACHABLE" });
    await expect(asked).rejects.toThrow(`127.0.0.1:${one}: connection refused; 127.0.0.1:${two}: connection refused`);
  });

  test("another secret", async () => {
    const server = await statServer();
    const asked = ask([server.port], { secret: OTHER });
    await expect(asked).rejects.toMatchObject({ code: "STAT_REFUSED" });
    await expect(asked).rejects.toThrow("stat.secretFile");
  });

  test("nobody leads yet: asked again until somebody does", async () => {
    let times = 0;
    const later = await fake((socket, line) => {
      if (line === null) return say(socket, challenge);
      const { t, id } = JSON.parse(line) as { t: string; id: number };
      if (t === "query") return say(socket, { t: "answer", id, data: times });
      if (++times < 3) return say(socket, { t: "leave", text: "no statistics server leads yet" });
      greeting(socket, line, () => {});
    });
    expect(await ask([later.port], {}, 10_000)).toBe(3);
  });

  test("nobody leads: it says so when its time is up", async () => {
    const never = await fake((socket, line) => {
      if (line === null) say(socket, challenge);
      else say(socket, { t: "leave", text: "no statistics server leads yet" });
    });
    await expect(ask([never.port], {}, 500)).rejects.toThrow("no statistics server leads yet");
  });

  test("no answer: it does not wait for ever", async () => {
    const mute = await fake((socket, line) => greeting(socket, line, () => {}));
    await expect(ask([mute.port], {}, 200)).rejects.toMatchObject({ code: "STAT_UNREACHABLE" });
  });
});

test("addresses", () => {
  expect(addressOf("stat.example:7000")).toEqual({ host: "stat.example", port: 7000 });
  expect(addressOf("stat.example")).toEqual({ host: "stat.example", port: 7777 });
  expect(addressOf("[::1]:7000")).toEqual({ host: "::1", port: 7000 });
  for (const none of ["", ":7000", "::1:7000", "a:b", "a:0", "a:70000", "a b:1"]) expect(addressOf(none)).toBeNull();
});
