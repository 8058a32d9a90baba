/** TLS and AUTH: when mail goes in the clear, when it must not, and what is remembered. */
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { openTlsMemory } from "../../src/mta/session/tls-memory.ts";
import { ehlo, hello, openScriptServer, type ScriptServer } from "../support/script-server.ts";
import { openTestSession, testMessage, testTlsMemory, tryTestSession } from "../support/session.ts";
import { openSmtpSink, type SmtpSink } from "../support/smtp-sink.ts";

let open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0)) await each.close();
  open = [];
});
const scripted = async (script: Parameters<typeof openScriptServer>[0]): Promise<ScriptServer> => {
  const server = await openScriptServer(script);
  open.push(server);
  return server;
};
const sink = async (options: Parameters<typeof openSmtpSink>[0]): Promise<SmtpSink> => {
  const server = await openSmtpSink(options);
  open.push(server);
  return server;
};
const required = { tls: "required" } as const;
const opportunistic = { tls: "opportunistic" } as const;

describe("STARTTLS", () => {
  test("opportunistic: an unknown certificate will do", async () => {
    const server = await sink({ starttls: true });
    const memory = openTlsMemory(systemClock);
    const session = await openTestSession(server.port, { target: { ...opportunistic, mx: "other.test" }, memory });
    const got = await session.submit(testMessage(1));
    expect(got).toMatchObject({ kind: "accepted", tls: expect.stringMatching(/^TLSv1\.3 TLS_\w+$/) });
    await session.quit();
    expect(server.messages[0]).toMatchObject({ secure: true });
  });

  test("required: the right certificate, trusted; a resumed session the second time", async () => {
    const server = await sink({ starttls: true });
    const memory = testTlsMemory();
    for (let i = 0; i < 2; i++) {
      const session = await openTestSession(server.port, { target: required, memory });
      expect(await session.submit(testMessage(1))).toMatchObject({ kind: "accepted" });
      await session.quit();
      expect(memory.session(`required mx.test ${server.port}`)).toBeInstanceOf(Buffer);
      expect(memory.session(`opportunistic mx.test ${server.port}`)).toBeUndefined();
    }
    expect(server.messages.map(({ secure }) => secure)).toEqual([true, true]);
  });

  test.each([
    ["not trusted", openTlsMemory(systemClock), "mx.test", /self-signed certificate/],
    ["for another name", testTlsMemory(), "other.test", /does not match certificate's altnames/],
    ["for another name, after a session without check", testTlsMemory(), "other.test", /does not match/],
  ])("required: a certificate %s ends it, and nothing is sent", async (name, memory, mx, text) => {
    const server = await sink({ starttls: true });
    if (name.includes("after")) {
      const session = await openTestSession(server.port, { target: { ...opportunistic, mx }, memory });
      await session.quit();
    }
    const got = await tryTestSession(server.port, { target: { ...required, mx }, memory });
    expect(got).toMatchObject({ kind: "unreachable", stage: "starttls", text: expect.stringMatching(text) });
    expect(server.messages).toEqual([]);
    expect(memory.broken(mx)).toBe(false);
  });

  test("required and not offered, or refused", async () => {
    const server = await sink({});
    const got = await tryTestSession(server.port, { target: required });
    expect(got).toMatchObject({ kind: "unreachable", stage: "starttls", text: /not offer/ });
  });

  test("opportunistic and refused for now: on in the clear", async () => {
    const server = await scripted(async (peer) => {
      await hello(peer, "STARTTLS", "PIPELINING");
      await peer.expect(/^STARTTLS\r\n$/);
      peer.send("454 4.7.0 not now\r\n");
      await peer.expect(/^MAIL/);
      peer.close();
    });
    const session = await openTestSession(server.port, { target: opportunistic });
    expect(await session.submit(testMessage(1))).toMatchObject({ kind: "unreachable", stage: "mail", tls: "" });
    expect(server.connections).toBe(1);
  });

  for (const failure of ["garbage", "close", "reset", "silence"]) {
    test(`opportunistic and the handshake ends in ${failure}: once more in the clear, and remembered`, async () => {
      const server = await scripted(async (peer) => {
        await hello(peer, "STARTTLS");
        if (peer.number > 1) return;
        await peer.expect(/^STARTTLS\r\n/);
        peer.send("220 go\r\n");
        await peer.expect(/^\x16\x03/);
        if (failure === "garbage") peer.send("not TLS at all\r\n");
        if (failure === "close") peer.close();
        if (failure === "reset") peer.reset();
      });
      const memory = testTlsMemory();
      const options = { target: opportunistic, memory, settings: failure === "silence" ? { ehloMs: 500 } : {} };
      const first = await openTestSession(server.port, options);
      expect(memory.broken("mx.test")).toBe(true);
      expect(server.connections).toBe(2);
      const second = await openTestSession(server.port, options);
      expect(server.connections).toBe(3);
      expect(server.peers[2]!.received).toBe("EHLO client.test\r\n");
      first.destroy();
      second.destroy();
      const settings = { ehloMs: 500 };
      const never = await tryTestSession(server.port, { memory, settings, target: { ...required, mx: "x.test" } });
      expect(never).toMatchObject({ kind: "unreachable", stage: "starttls" });
    });
  }

  test.each(["250 injected\r\n", "25", "250-x\r\n"])(
    "behind the 220 comes %j: not believed (CVE-2011-0411)",
    async (more) => {
      const server = await scripted(async (peer) => {
        await hello(peer, "STARTTLS");
        await peer.expect(/^STARTTLS\r\n/);
        peer.send(`220 go\r\n${more}`);
        await peer.gone();
        expect(peer.unread).toBe("");
      });
      const got = await tryTestSession(server.port, { target: opportunistic });
      expect(got).toMatchObject({ kind: "unreachable", stage: "starttls" });
      expect(server.connections).toBe(1);
    },
  );

  test("what was offered in the clear is forgotten", async () => {
    const server = await scripted(async (peer) => {
      await hello(peer, "STARTTLS", "PIPELINING", "CHUNKING");
      await peer.expect(/^STARTTLS\r\n/);
      peer.send("220 go\r\n");
      await peer.secure();
      await ehlo(peer, "SIZE 1000");
      await peer.expect(/^MAIL FROM:<s@a\.test> SIZE=\d+\r\n$/);
      peer.close();
    });
    const session = await openTestSession(server.port, { target: required });
    expect(session.room).toBe(1);
    const got = await session.submit(testMessage(1));
    expect(got).toMatchObject({ kind: "unreachable", stage: "mail", tls: expect.stringContaining("TLSv1.3") });
    expect(got.transcript.slice(0, 5)).toEqual([
      "< 220 mx.test ESMTP",
      "> EHLO client.test",
      "< 250-mx.test",
      "< 250-STARTTLS",
      "< 250-PIPELINING",
    ]);
  });

  test("many big messages through TLS arrive as they were", async () => {
    const server = await sink({ starttls: true });
    const session = await openTestSession(server.port, { target: required });
    const sent = [300_000, 10, 70_000, 65_536, 1_000_000].map((size, i) => testMessage(i, size));
    for (const message of sent) expect(await session.submit(message)).toMatchObject({ kind: "accepted" });
    expect(server.messages.map(({ raw }, i) => raw.equals(sent[i]!.bytes))).toEqual(sent.map(() => true));
    await session.quit();
  });
});

describe("AUTH", () => {
  const auth = { user: "us\u00e9r", password: "pa ss\u20ac", insecure: false };

  test("through TLS", async () => {
    const server = await sink({ starttls: true, auth });
    const session = await openTestSession(server.port, { target: { ...required, auth } });
    expect(await session.submit(testMessage(1))).toMatchObject({ kind: "accepted" });
    await session.quit();
    expect(server.messages[0]).toMatchObject({ user: auth.user, secure: true });
  });

  test("the wrong password", async () => {
    const server = await sink({ starttls: true, auth });
    const wrong = { ...auth, password: "guess" };
    const got = await tryTestSession(server.port, { target: { ...required, auth: wrong } });
    expect(got).toMatchObject({ kind: "unreachable", stage: "auth", code: 535 });
  });

  test("never in the clear, unless told", async () => {
    const server = await sink({ auth });
    const got = await tryTestSession(server.port, { target: { auth } });
    expect(got).toMatchObject({ kind: "unreachable", stage: "auth", text: "no password is sent without TLS" });
    const session = await openTestSession(server.port, { target: { auth: { ...auth, insecure: true } } });
    expect(await session.submit(testMessage(1))).toMatchObject({ kind: "accepted" });
    await session.quit();
  });

  test("LOGIN, and PLAIN that is asked for what it said", async () => {
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const plain = base64(`\0${auth.user}\0${auth.password}`);
    const server = await scripted(async (peer) => {
      await hello(peer, peer.number === 1 ? "AUTH LOGIN" : "AUTH PLAIN");
      if (peer.number === 1) {
        await peer.expect(/^AUTH LOGIN\r\n$/);
        peer.send(`334 ${base64("Username:")}\r\n`);
        expect((await peer.expect(/^(.*)\r\n$/))[1]).toBe(base64(auth.user));
        peer.send(`334 ${base64("Password:")}\r\n`);
        expect((await peer.expect(/^(.*)\r\n$/))[1]).toBe(base64(auth.password));
      } else {
        expect((await peer.expect(/^(.*)\r\n$/))[1]).toBe(`AUTH PLAIN ${plain}`);
        peer.send("334\r\n");
        expect((await peer.expect(/^(.*)\r\n$/))[1]).toBe(plain);
      }
      peer.send("235 2.7.0 welcome\r\n");
      await peer.expect(/^MAIL.*\r\n$/);
      peer.send("421 bye\r\n");
    });
    for (let i = 0; i < 2; i++) {
      const session = await openTestSession(server.port, { target: { auth: { ...auth, insecure: true } } });
      const got = await session.submit(testMessage(1));
      expect(got).toMatchObject({ kind: "deferred", code: 421 });
      const secrets = [plain, base64(auth.password), base64(auth.user)];
      expect(secrets.filter((secret) => got.transcript.join("\n").includes(secret))).toEqual([]);
      expect(got.transcript.some((line) => line.includes("[redacted]"))).toBe(true);
    }
  });

  test("nothing we know is offered", async () => {
    const server = await scripted((peer) => hello(peer, "AUTH CRAM-MD5"));
    const got = await tryTestSession(server.port, { target: { auth: { ...auth, insecure: true } } });
    expect(got).toMatchObject({ kind: "unreachable", stage: "auth", code: 0 });
  });
});
