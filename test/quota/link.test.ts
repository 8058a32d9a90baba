import { describe, expect, test } from "vitest";
import { serverProof } from "../../src/quota/handshake.ts";
import type { ClientMessage } from "../../src/quota/messages.ts";
import { handClock } from "../support/clock.ts";
import { freePort } from "../support/free-port.ts";
import { openSilentProxy } from "../support/silent-proxy.ts";
import { acquire } from "../support/stat-client.ts";
import { challenge, fakeServer, greeting, openLink, say, welcome } from "../support/stat-link.ts";
import { closeAfterEach, closeLater, OTHER, SECRET, smallServer } from "../support/stat-server.ts";
import { until } from "../support/until.ts";

closeAfterEach();

describe("a link", () => {
  test("greets, says, hears, in order", async () => {
    const server = await smallServer();
    const a = openLink([server.port]);
    await until(() => a.events.includes("up"));
    a.link.send(acquire(1) as ClientMessage);
    await until(() => a.events.includes("grant"));
    expect(a.events).toEqual(["held", "up", "grant"]);
    expect(server.engine.joined).toEqual(["m1/0"]);
  });

  test("what is said before it is up is dropped; a cut is told later, and it comes back", async () => {
    const server = await smallServer();
    const a = openLink([server.port]);
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
    const server = await smallServer();
    const a = openLink([server.port]);
    await until(() => a.events.includes("up"));
    a.link.close();
    await until(() => server.engine.left.length > 0);
    expect(a.events).toEqual(["held", "up"]);
  });

  test("is there again after its server was away", async () => {
    const port = await freePort();
    const first = await smallServer({ port });
    const a = openLink([port]);
    await until(() => a.events.includes("up"));
    await first.close();
    await until(() => a.events.includes("down"));
    expect(a.messages.at(-1)).toEqual({ t: "leave", text: "this server is going" });
    const second = await smallServer({ port });
    await until(() => second.engine.joined.length === 1);
    expect(a.events).toEqual(["held", "up", "leave", "down", "held", "up"]);
  });

  test("finds the one that leads among several addresses", async () => {
    const dead = await freePort();
    const standby = await fakeServer((socket, line) => {
      if (line === null) say(socket, challenge);
      else say(socket, { t: "leave", text: "the leader is another" });
    });
    const server = await smallServer();
    const a = openLink([dead, standby.port, server.port]);
    await until(() => a.events.includes("up"));
    expect(server.engine.joined).toEqual(["m1/0"]);
    expect(a.events).toEqual(["held", "down", "held", "up"]);
  });

  test("a server that falls silent is dead after four seconds, pings notwithstanding", async () => {
    const clock = handClock();
    const server = await smallServer();
    const proxy = await openSilentProxy(server.port);
    closeLater(() => proxy.close());
    const a = openLink([proxy.port], { clock });
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
    const mute = await fakeServer(() => {});
    const server = await smallServer();
    const a = openLink([mute.port, server.port], { clock });
    await until(async () => {
      await clock.advance(100);
      return a.events.includes("up");
    });
    expect(mute.connections).toBe(1);
    expect(a.events).toEqual(["held", "up"]);
  });

  test("more addresses of a domain than fit are left out, and the connection stays", async () => {
    const server = await smallServer();
    const a = openLink([server.port]);
    await until(() => a.events.includes("up"));
    const exchangers = Array.from({ length: 1300 }, (_, i) => ({ mx: `${"x".repeat(240)}.${i}`, ip: "127.0.0.1" }));
    a.link.send(acquire(1, { exchangers }) as ClientMessage);
    await until(() => a.events.includes("grant"));
    expect(server.engine.heard[0]?.message).toMatchObject({ t: "acquire", exchangers: exchangers.slice(0, 64) });
  });
});

describe("whom it does not believe", () => {
  test("a server that does not know the secret hears a hello and nothing else", async () => {
    const impostor = await fakeServer((socket, line) => {
      if (line === null) return say(socket, challenge);
      say(socket, {
        ...welcome,
        proof: serverProof(OTHER, (JSON.parse(line) as { nonce: string }).nonce, challenge.nonce),
      });
      say(socket, { t: "grant", id: 1, conn: 1, chosen: 0, limits: null, messages: 1_000_000, at: 1, until: 9e15 });
    });
    const a = openLink([impostor.port]);
    await until(() => a.down.length === 1);
    expect(a.events).toEqual(["held", "down"]);
    expect(a.down[0]).toContain("does not know the secret");
    expect(impostor.heard.split("\n").filter(Boolean).length).toBe(1);
    expect(impostor.heard).not.toContain(SECRET.toString());
  });

  test("a welcome that was overheard on another connection", async () => {
    let overheard: object | null = null;
    const parrot = await fakeServer((socket, line) => {
      if (line === null) return say(socket, challenge);
      overheard ??= {
        ...welcome,
        proof: serverProof(SECRET, (JSON.parse(line) as { nonce: string }).nonce, challenge.nonce),
      };
      say(socket, overheard);
    });
    const a = openLink([parrot.port]);
    await until(() => a.events.includes("up"));
    a.link.cut("again");
    await until(() => a.down.length === 2);
    expect(a.events).toEqual(["held", "up", "down", "held", "down"]);
  });

  test("its own proof sent back to it", async () => {
    const mirror = await fakeServer((socket, line) => {
      if (line === null) return say(socket, challenge);
      say(socket, { ...welcome, proof: (JSON.parse(line) as { proof: string }).proof });
    });
    const a = openLink([mirror.port]);
    await until(() => a.down.length === 1);
    expect(a.events).toEqual(["held", "down"]);
  });

  test("a welcome without a challenge: no hello is said", async () => {
    const rude = await fakeServer((socket, line) => {
      if (line === null) say(socket, { ...welcome, proof: serverProof(SECRET, "", "") });
    });
    const a = openLink([rude.port]);
    await until(() => rude.connections >= 1);
    const server = await smallServer();
    const b = openLink([rude.port, server.port]);
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
    const odd = await fakeServer((socket, line) => greeting(socket, line, (each) => void each.write(bytes)));
    const a = openLink([odd.port]);
    await until(() => a.down.length === 1);
    expect(a.events).toEqual(["held", "up", "down"]);
    expect(a.messages).toEqual([]);
  });
});
