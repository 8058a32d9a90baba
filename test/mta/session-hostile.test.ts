/** Peers that mean harm or are not mail servers; and that a session, whatever happens, leaves nothing behind. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { openSession } from "../../src/mta/session.ts";
import { hello, openScriptServer, type Peer, type ScriptServer } from "../support/script-server.ts";
import {
  openTestSession,
  sessionTarget,
  smtpSettings,
  testMessage,
  testTlsMemory,
  tryTestSession,
} from "../support/session.ts";
import { handClock } from "../support/clock.ts";
import { until } from "../support/until.ts";

let server: ScriptServer;
afterEach(() => server.close());

/** A byte now and then, for as long as the client listens. */
async function drip(peer: Peer, text: string): Promise<void> {
  let left = false;
  void peer.gone().then(
    () => (left = true),
    () => (left = true),
  );
  for (let i = 0; !left; i++) {
    peer.send(text[i % text.length]!);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("a peer that", () => {
  test("has 100 KB of banner", async () => {
    server = await openScriptServer(async (peer) => peer.send(`220 ${"x".repeat(100_000)}\r\n`));
    const got = await tryTestSession(server.port);
    expect(got).toMatchObject({ kind: "unreachable", stage: "banner", text: "a line of more than 8 KB in a reply" });
  });

  test("has a banner without end, in lines", async () => {
    server = await openScriptServer(async (peer) => peer.send("220-come in\r\n".repeat(10_000)));
    const got = await tryTestSession(server.port);
    expect(got).toMatchObject({ kind: "unreachable", stage: "banner", text: /200 lines/ });
  });

  test("drips its banner: the time is that of the banner, not of its bytes", async () => {
    server = await openScriptServer((peer) => drip(peer, "220-x\r\n"));
    const got = await tryTestSession(server.port, { settings: { bannerMs: 150 } });
    expect(got).toMatchObject({ kind: "unreachable", stage: "banner", text: "no reply within 0.15 s" });
  });

  test("drips its answer to MAIL", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING");
      await peer.expect(/DATA\r\n$/);
      await drip(peer, "250-y\r\n");
    });
    const session = await openTestSession(server.port, { settings: { mailMs: 150 } });
    const got = await session.submit(testMessage(1));
    expect(got).toMatchObject({ kind: "unreachable", stage: "mail", text: "no reply to MAIL within 0.15 s" });
  });

  test("greets and half-closes", async () => {
    server = await openScriptServer(async (peer) => {
      peer.send("220 hi\r\n");
      peer.close();
    });
    const got = await tryTestSession(server.port);
    expect(got).toMatchObject({ kind: "unreachable", stage: "ehlo", text: "the server closed the connection" });
  });

  test("answers EHLO and half-closes with the dot's answer, which counts", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING");
      await peer.expect(/DATA\r\n$/);
      peer.send("250 ok\r\n250 ok\r\n354 go\r\n");
      await peer.expect(/\r\n\.\r\n$/);
      peer.send("250 queued\r\n");
      peer.close();
    });
    const session = await openTestSession(server.port);
    expect(await session.submit(testMessage(1))).toMatchObject({ kind: "accepted", text: "queued" });
    await until(() => session.ended, { what: "the end" });
  });

  test("says too much behind its banner", async () => {
    server = await openScriptServer(async (peer) => peer.send("220 hi\r\n250 I know who you are\r\n"));
    const got = await tryTestSession(server.port);
    expect(got).toMatchObject({ kind: "unreachable", stage: "ehlo", text: "a reply to nothing: 250" });
  });

  test("knows HELO only", async () => {
    server = await openScriptServer(async (peer) => {
      peer.send("220 hi\r\n");
      await peer.expect(/^EHLO client\.test\r\n$/);
      peer.send("502 5.5.2 what\r\n");
      await peer.expect(/^HELO client\.test\r\n$/);
      peer.send("250 hello\r\n");
      await peer.expect(/^MAIL FROM:<s@a\.test>\r\n$/);
      peer.send(Buffer.from("550 \x1b[31mno\0\xff\r\n", "latin1"));
    });
    const session = await openTestSession(server.port);
    const got = await session.submit(testMessage(1));
    expect(got).toMatchObject({ kind: "rejected", stage: "mail", text: "[31mnoÿ" });
    expect(got.transcript.at(-1)).toBe("< 550 [31mnoÿ");
    session.destroy();
  });

  test("sends 8-bit garbage for ever", async () => {
    server = await openScriptServer(async (peer) => peer.send(Buffer.alloc(1_000_000, 0xf5)));
    expect(await tryTestSession(server.port)).toMatchObject({ kind: "unreachable", stage: "banner" });
  });

  test("speaks HTTP", async () => {
    const http = createServer((_request, response) => response.end("hello"));
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    server = await openScriptServer(async (peer) => {
      await peer.gone();
    });
    const { port } = http.address() as AddressInfo;
    expect(await tryTestSession(port, { settings: { bannerMs: 100 } })).toMatchObject({ stage: "banner" });
    http.closeAllConnections();
    http.close();
  });

  test("is not there, or is no address", async () => {
    server = await openScriptServer(async () => {});
    const { port } = server;
    await server.close();
    const refused = { kind: "unreachable", stage: "connect", text: "connection refused (ECONNREFUSED)", code: 0 };
    expect(await tryTestSession(port)).toMatchObject(refused);
    const no = { kind: "unreachable", stage: "connect" };
    expect(await tryTestSession(port, { target: { localAddress: "nonsense" } })).toMatchObject(no);
    expect(await tryTestSession(port, { target: { localAddress: "192.0.2.1" } })).toMatchObject(no);
    expect(await tryTestSession(99_999_999)).toMatchObject(no);
    server = await openScriptServer(async () => {});
  });
});

describe("time", () => {
  test("a dot is waited for ten minutes from when it left, also behind slow answers, and no timer is left", async () => {
    let reply = (_text: string): void => {};
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING");
      reply = (text) => peer.send(text);
      await peer.gone();
    });
    const clock = handClock();
    let permits = 0;
    const session = await openSession(
      { clock, tlsMemory: testTlsMemory() },
      sessionTarget(server.port),
      smtpSettings(),
      { permit: () => ++permits > 0, change() {} },
    );
    if (!("submit" in session)) throw new Error(session.text);
    const { peers } = server;
    const outcome = session.submit(testMessage(1));
    await until(() => peers[0]!.received.endsWith("DATA\r\n"));
    await clock.advance(290_000);
    reply("250 ok\r\n");
    await until(() => clock.pending > 0 && session.inFlight === 1);
    reply("250 ok\r\n354 go\r\n");
    await until(() => permits === 1);
    await until(() => peers[0]!.received.endsWith("\r\n.\r\n"));
    await clock.advance(599_999);
    expect(session.inFlight).toBe(1);
    await clock.advance(1);
    expect(await outcome).toMatchObject({
      kind: "in-doubt",
      stage: "dot",
      text: "no reply to the final dot within 600 s",
      latencyMs: 890_000,
    });
    await session.quit();
    expect(clock.pending).toBe(0);
  });

  test("a session that waits for mail has no deadline", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING");
      await peer.gone();
    });
    const clock = handClock();
    const deps = { clock, tlsMemory: testTlsMemory() };
    const events = { permit: () => true, change() {} };
    const session = await openSession(deps, sessionTarget(server.port), smtpSettings(), events);
    if (!("submit" in session)) throw new Error(session.text);
    await clock.advance(10 * 3_600_000);
    expect([session.ended, session.room]).toEqual([false, 2]);
    session.destroy();
    await session.quit();
    expect(clock.pending).toBe(0);
  });

  test("a server that does not answer QUIT is left after five seconds", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer);
      await peer.expect(/^QUIT\r\n$/);
      await peer.gone();
    });
    const clock = handClock();
    const deps = { clock, tlsMemory: testTlsMemory() };
    const events = { permit: () => true, change() {} };
    const session = await openSession(deps, sessionTarget(server.port), smtpSettings(), events);
    if (!("submit" in session)) throw new Error(session.text);
    const left = session.quit();
    await until(() => server.peers[0]!.received.endsWith("QUIT\r\n"));
    expect(session.room).toBe(0);
    await clock.advance(5_000);
    await left;
    expect(session.ended).toBe(true);
  });
});

test("quit waits for what is in flight, in each way a session speaks", async () => {
  for (const offered of [[], ["PIPELINING"], ["PIPELINING", "CHUNKING"]]) {
    server = await openScriptServer(async (peer) => {
      await hello(peer, ...offered);
      const one = offered.length === 1;
      if (offered.length === 0) {
        await peer.expect(/^MAIL.*\r\n$/);
        peer.send("550 no\r\n");
      } else {
        await peer.expect(one ? /DATA\r\n$/ : /message 1 x+\r\n$/);
        peer.send("250 ok\r\n550 no\r\n503 no\r\n");
      }
      await peer.expect(/^QUIT\r\n$/);
      peer.close();
    });
    const session = await openTestSession(server.port);
    const outcome = session.submit(testMessage(1));
    const closed = session.quit();
    expect(session.room).toBe(0);
    expect(await outcome).toMatchObject({ kind: "rejected" });
    await closed;
    if (offered.length < 2) await server.close();
  }
});

test("no socket is left of a hundred sessions that failed", async () => {
  const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
  const before = sockets();
  server = await openScriptServer(async (peer) => {
    if (peer.number % 4 === 0) peer.reset();
    else if (peer.number % 4 === 1) peer.close();
    else if (peer.number % 4 === 2) peer.send("554 no\r\n");
    else await peer.gone();
  });
  const tries = Array.from({ length: 100 }, () =>
    openSession(
      { clock: systemClock, tlsMemory: testTlsMemory() },
      sessionTarget(server.port),
      smtpSettings({ bannerMs: 200 }),
      { permit: () => true, change() {} },
    ),
  );
  const kinds = (await Promise.all(tries)).map((got) => ("kind" in got ? got.kind : "session"));
  expect(new Set(kinds)).toEqual(new Set(["unreachable"]));
  await server.close();
  await until(() => sockets() <= before, { what: "no socket" });
  server = await openScriptServer(async () => {});
});
