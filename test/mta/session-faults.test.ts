/** Every way a server can fail, at every stage, in each of the three ways a session speaks. */
import { afterEach, describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { OutcomeKind, Stage } from "../../src/model/outcome.ts";
import { ehlo, hello, openScriptServer, type Peer, type ScriptServer } from "../support/script-server.ts";
import { openTestSession, testMessage, tryTestSession } from "../support/session.ts";
import { until } from "../support/until.ts";

const FAULTS = ["4xx", "5xx", "421", "close", "reset", "garbage", "silence"] as const;
type Fault = (typeof FAULTS)[number];

let server: ScriptServer;
afterEach(() => server.close());

/** Does it. True: the dialogue goes on. */
function commit(peer: Peer, fault: Fault): boolean {
  if (fault === "4xx") peer.send("450 4.2.0 later\r\n");
  if (fault === "5xx") peer.send("550 5.0.0 never\r\n");
  if (fault === "421") peer.send("421 4.3.2 going down\r\n");
  if (fault === "close") peer.close();
  if (fault === "reset") peer.reset();
  if (fault === "garbage") peer.send(Buffer.from([0xff, 0x00, 0x80, 0x0a]));
  return fault === "4xx" || fault === "5xx";
}

const replied: Readonly<Record<string, number>> = { "4xx": 450, "5xx": 550, "421": 421 };
const SHORT = 60;
/** For steps that share their time with others that must not run into it. */
const LESS_SHORT = 500;
const auth = { user: "u", password: "secret-word", insecure: true };

describe("before a session is ready", () => {
  const stages = ["banner", "ehlo", "starttls", "auth"] as const;
  for (const stage of stages) {
    test.each(FAULTS)(`${stage}: %s`, async (fault) => {
      const at = (peer: Peer, here: string, normal: string): boolean => {
        if (here === stage) return commit(peer, fault);
        peer.send(normal);
        return true;
      };
      server = await openScriptServer(async (peer) => {
        if (!at(peer, "banner", "220 hi\r\n") || stage === "banner") return;
        await peer.expect(/^EHLO client\.test\r\n/);
        if (!at(peer, "ehlo", "250-mx.test\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n")) return;
        if (stage === "ehlo" && fault === "5xx") {
          await peer.expect(/^HELO client\.test\r\n/);
          peer.send("550 5.0.0 never\r\n");
        } else if (stage === "starttls") {
          await peer.expect(/^STARTTLS\r\n/);
          commit(peer, fault);
        } else if (stage === "auth") {
          await peer.expect(/^AUTH PLAIN .*\r\n/);
          commit(peer, fault);
        }
      });
      const tls = stage === "starttls" ? "required" : "disabled";
      // Only the stage that is tested gets a short time.
      const settings = fault !== "silence" ? {} : stage === "banner" ? { bannerMs: SHORT } : { ehloMs: LESS_SHORT };
      const got = await tryTestSession(server.port, { settings, target: { tls, auth } });
      if ("submit" in got) throw new Error("a session");
      const code = replied[fault] ?? 0;
      // A reset can arrive with the connection itself.
      const came = stage === "banner" && fault === "reset" ? expect.stringMatching(/^(banner|connect)$/) : stage;
      expect(got).toMatchObject({
        kind: "unreachable",
        stage: came,
        code,
        mx: "mx.test",
        remoteIp: "127.0.0.1",
        publicId: 7,
      });
      if (fault === "close") expect(got.text).toBe("the server closed the connection");
      if (fault === "reset") expect(got.text).toBe("connection reset (ECONNRESET)");
      if (fault === "garbage") expect(got.text).toContain("not an SMTP reply");
      if (fault === "silence") expect(got.text).toMatch(/^no reply within 0\.\d+ s$/);
      expect(JSON.stringify(got)).not.toContain("secret-word");
      expect(JSON.stringify(got)).not.toContain(Buffer.from("\0u\0secret-word").toString("base64"));
      if (stage === "auth" && code > 0) {
        expect(got.transcript.slice(-2, -1)).toEqual(["> AUTH PLAIN [redacted]"]);
      }
      const { length } = server.peers;
      await until(() => server.peers.every((peer) => peer.unread === "" || /^QUIT\r\n$/.test(peer.unread)), {
        what: "nothing but QUIT",
      });
      expect(length).toBe(1);
    });
  }
});

const WAYS = {
  "step by step": [],
  "step by step with chunks": ["CHUNKING"],
  pipelined: ["PIPELINING"],
  streaming: ["PIPELINING", "CHUNKING"],
} as const;

/** Bigger than all the buffers between two sockets on loopback. */
const HUGE = 24 * 1024 * 1024;

for (const [way, offered] of Object.entries(WAYS)) {
  const pipelining = (offered as readonly string[]).includes("PIPELINING");
  const chunking = (offered as readonly string[]).includes("CHUNKING");
  const stages = ["mail", "rcpt", ...(chunking ? [] : ["data"]), "body", "dot"] as Stage[];

  /** One transaction in which `stage` goes wrong. */
  async function serve(peer: Peer, stage: Stage, fault: Fault): Promise<void> {
    peer.send("220 hi\r\n");
    await ehlo(peer, ...offered);
    const chunk = /^BDAT (\d+) LAST\r\n/;
    await peer.expect(/^MAIL FROM:<s@a\.test>\r\n/);
    if (pipelining) await peer.expect(/^RCPT TO:<r1@d\.test>\r\n/);
    if (pipelining && !chunking) await peer.expect(/^DATA\r\n/);
    if (stage === "mail") {
      if (!commit(peer, fault)) return;
      if (pipelining) peer.send("503 5.5.1 no MAIL\r\n503 5.5.1 no RCPT\r\n");
      return;
    }
    peer.send("250 2.1.0 ok\r\n");
    if (!pipelining) await peer.expect(/^RCPT TO:<r1@d\.test>\r\n/);
    if (stage === "rcpt") {
      if (!commit(peer, fault)) return;
      if (pipelining) peer.send("503 5.5.1 no RCPT\r\n");
      return;
    }
    peer.send("250 2.1.5 ok\r\n");
    if (stage === "body" && chunking) return badBody(peer, fault);
    if (!chunking) {
      if (!pipelining) await peer.expect(/^DATA\r\n/);
      if (stage === "data") return void commit(peer, fault);
      if (stage === "body") {
        peer.stall();
        peer.send("354 go\r\n");
        return badBody(peer, fault);
      }
      peer.send("354 go\r\n");
      await peer.expect(/\r\n\.\r\n$/);
    } else {
      const [, length] = await peer.expect(chunk);
      await peer.expect(new RegExp(`^[^]{${length}}`));
    }
    commit(peer, fault);
  }
  async function badBody(peer: Peer, fault: Fault): Promise<void> {
    await until(() => peer.unread.length > 100_000 || fault === "silence" || !chunking, { what: "some of the body" });
    peer.stall();
    commit(peer, fault);
  }

  function expected(stage: Stage, fault: Fault): OutcomeKind {
    if (fault === "4xx" || fault === "421") return "deferred";
    if (fault === "5xx") return "rejected";
    // Streaming, a small message has left as a whole before the first reply.
    return stage === "dot" || (pipelining && chunking && stage !== "body") ? "in-doubt" : "unreachable";
  }

  describe(way, () => {
    for (const stage of stages) {
      test.each(FAULTS)(`${stage}: %s`, async (fault) => {
        server = await openScriptServer((peer) => serve(peer, stage, fault));
        // Only the stage that is tested gets a short time.
        const settings = fault === "silence" ? { [`${stage === "body" ? "block" : stage}Ms`]: SHORT } : {};
        const session = await openTestSession(server.port, { settings });
        const got = await session.submit(testMessage(1, stage === "body" ? HUGE : 60));
        const code = replied[fault] ?? 0;
        const kind = expected(stage, fault);
        const at = kind === "in-doubt" ? "dot" : stage;
        expect(got).toMatchObject({ kind, stage: at, code, mx: "mx.test", publicId: 7, tls: "" });
        expect(got.enhanced).toBe(code === 450 ? "4.2.0" : code === 550 ? "5.0.0" : code === 421 ? "4.3.2" : "");
        expect(got.transcript.some((line) => line.startsWith("> MAIL FROM:<s@a.test>"))).toBe(true);
        if (code > 0) expect(got.transcript.join("\n")).toContain(`< ${code} `);
        if (fault === "silence" && stage !== "body") expect(got.text).toMatch(/^no reply to .* within 0\.06 s$/);
        if (fault === "silence" && stage === "body") expect(got.text).toBe("the server took no data for 0.06 s");
        // A refusal of one message leaves the session fit for the next; everything else ends it.
        const fit = (fault === "4xx" || fault === "5xx") && stage !== "body";
        if (fit) await until(() => session.room > 0, { what: "room" });
        expect(session.ended).toBe(!fit);
        expect(session.inFlight).toBe(0);
        expect(session.settled).toBe(stage === "dot" && code > 0 ? 1 : 0);
        session.destroy();
        await session.quit();
      });
    }
  });
}

test.each([
  ["forward", 3_600_000],
  ["back", -3_600_000],
])("the system's clock is put %s while a server is silent: its time is as long as it was", async (_name, ms) => {
  server = await openScriptServer((peer) => hello(peer));
  let ahead = 0;
  const clock = { ...systemClock, now: () => Date.now() + ahead };
  const session = await openTestSession(server.port, { clock, settings: { mailMs: SHORT } });
  const submitted = session.submit(testMessage(1));
  ahead = ms;
  const got = await submitted;
  expect(got).toMatchObject({ kind: "unreachable", stage: "mail", text: "no reply to MAIL within 0.06 s" });
  expect(Number.isInteger(got.latencyMs)).toBe(true);
  expect(got.latencyMs).toBeGreaterThanOrEqual(SHORT - 1);
  expect(got.latencyMs).toBeLessThan(600_000);
});
