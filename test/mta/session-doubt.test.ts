/** The one moment SMTP cannot settle, to the message: what was handed over is in doubt, what was not is not; and permission for it. */
import { afterEach, describe, expect, test } from "vitest";
import { hello, openScriptServer, type ScriptServer } from "../support/script-server.ts";
import { openTestSession, testMessage } from "../support/session.ts";
import { until } from "../support/until.ts";

let server: ScriptServer;
afterEach(() => server.close());
const kinds = async (outcomes: readonly Promise<{ kind: string; stage: string }>[]): Promise<string[]> =>
  (await Promise.all(outcomes)).map(({ kind, stage }) => `${kind} ${stage}`);

describe("connection lost", () => {
  test("pipelined, after the dot: that one in doubt, the next one not", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING");
      await peer.expect(/DATA\r\n$/);
      peer.send("250 ok\r\n250 ok\r\n354 go\r\n");
      await peer.expect(/\r\n\.\r\nMAIL.*\r\nRCPT.*\r\nDATA\r\n$/);
      peer.close();
    });
    const session = await openTestSession(server.port);
    const got = await kinds([session.submit(testMessage(1)), session.submit(testMessage(2))]);
    expect(got).toEqual(["in-doubt dot", "unreachable mail"]);
  });

  test("streaming: all that were handed over, however far the replies came", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING", "CHUNKING");
      await peer.expect(/TO:<r2@/);
      await peer.expect(/message 2 x+\r\n$/);
      peer.send("250 ok\r\n550 no\r\n503 no\r\n250 reset\r\n250 ok\r\n");
      peer.close();
    });
    const session = await openTestSession(server.port);
    const got = await kinds([session.submit(testMessage(1)), session.submit(testMessage(2))]);
    expect(got).toEqual(["rejected rcpt", "in-doubt dot"]);
  });

  test("in the middle of a big body: not in doubt, nor is what waits behind it", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING", "CHUNKING");
      await until(() => peer.received.length > 200_000, { what: "some of the body" });
      peer.reset();
    });
    const session = await openTestSession(server.port);
    const got = await kinds([session.submit(testMessage(1, 24 * 1024 * 1024)), session.submit(testMessage(2))]);
    expect(got).toEqual(["unreachable mail", "unreachable mail"]);
  });

  test("destroyed in the turn of the submission: nothing has left", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING", "CHUNKING");
      await peer.gone();
      expect(peer.unread).toBe("");
    });
    const session = await openTestSession(server.port);
    const outcome = session.submit(testMessage(1));
    session.destroy();
    expect(await kinds([outcome])).toEqual(["unreachable mail"]);
    expect(await kinds([session.submit(testMessage(2))])).toEqual(["unreachable local"]);
    await session.quit();
  });

  test("destroyed after the dot: in doubt", async () => {
    let dot = false;
    server = await openScriptServer(async (peer) => {
      await hello(peer);
      await peer.expect(/^MAIL/);
      peer.send("250 ok\r\n");
      await peer.expect(/RCPT/);
      peer.send("250 ok\r\n");
      await peer.expect(/DATA\r\n/);
      peer.send("354 ok\r\n");
      await peer.expect(/\r\n\.\r\n$/);
      dot = true;
    });
    const session = await openTestSession(server.port);
    const outcome = session.submit(testMessage(1));
    await until(() => dot, { what: "the dot" });
    session.destroy();
    expect(await kinds([outcome])).toEqual(["in-doubt dot"]);
  });
});

describe("answers that cannot be", () => {
  const go = "250 ok\r\n250 ok\r\n354 go\r\n";
  const cases: [name: string, replies: string, expected: string, text: RegExp][] = [
    ["before the dot, with the 354", `${go}250 queued\r\n`, "unreachable body", /^unexpected reply: 250 queued$/],
    ["a refusal before the dot", `${go}552 5.3.4 too big\r\n`, "rejected body", /too big/],
    ["354 to MAIL", "354 go\r\n", "unreachable mail", /unexpected reply: 354 go/],
    ["354 to RCPT", "250 ok\r\n354 go\r\n", "unreachable rcpt", /unexpected reply: 354 go/],
    ["250 to DATA", "250 ok\r\n250 ok\r\n250 ok\r\n", "unreachable data", /unexpected reply: 250 ok/],
    ["an HTTP answer", "HTTP/1.1 400 Bad Request\r\n", "unreachable mail", /not an SMTP reply: HTTP/],
    ["100 KB without end", "x".repeat(100_000), "unreachable mail", /more than 8 KB/],
    ["a reply without end", "250-x\r\n".repeat(1000), "unreachable mail", /200 lines/],
  ];
  test.each(cases)("%s", async (_name, replies, expected, text) => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING");
      await peer.expect(/DATA\r\n$/);
      peer.send(replies);
      await peer.gone();
      expect(peer.unread).toBe("");
    });
    const session = await openTestSession(server.port);
    const outcome = session.submit(testMessage(1));
    expect(await kinds([outcome])).toEqual([expected]);
    expect((await outcome).text).toMatch(text);
    expect(session.ended).toBe(true);
  });

  test("a 3yz to the dot: in doubt, not guessed", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING");
      await peer.expect(/DATA\r\n$/);
      peer.send(go);
      await peer.expect(/\r\n\.\r\n$/);
      peer.send("354 go on\r\n");
    });
    const session = await openTestSession(server.port);
    expect(await kinds([session.submit(testMessage(1))])).toEqual(["in-doubt dot"]);
  });

  test("to nothing at all, on an idle session", async () => {
    let speak = (): void => {};
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING");
      speak = () => peer.send("421 4.4.2 idle too long\r\n");
      await peer.gone();
    });
    let changes = 0;
    const session = await openTestSession(server.port, { events: { change: () => void changes++ } });
    speak();
    await until(() => session.ended, { what: "the end" });
    expect([changes, session.room]).toEqual([1, 0]);
  });
});

describe("permission", () => {
  test("refused behind 354: cut before the dot", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING");
      await peer.expect(/DATA\r\n$/);
      peer.send("250 ok\r\n250 ok\r\n354 go\r\n");
      await peer.gone();
      expect(peer.unread).toBe("");
    });
    const session = await openTestSession(server.port, { events: { permit: () => false } });
    const got = await kinds([session.submit(testMessage(1)), session.submit(testMessage(2))]);
    expect(got).toEqual(["unreachable local", "unreachable mail"]);
    expect(session.ended).toBe(true);
  });

  test("refused for a chunk: what is in flight gets its answer, nothing of the refused one leaves", async () => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING", "CHUNKING");
      await peer.expect(/message 1 x+\r\n$/);
      peer.send("250 ok\r\n250 ok\r\n250 queued\r\n");
      await peer.expect(/^QUIT\r\n$/);
      peer.send("221 bye\r\n");
      await peer.gone();
    });
    const session = await openTestSession(server.port, {
      settings: { pipelineDepth: 3 },
      events: { permit: (message) => message.id === 1 },
    });
    const got = await kinds([1, 2, 3].map((id) => session.submit(testMessage(id))));
    expect(got).toEqual(["accepted dot", "unreachable local", "unreachable local"]);
    await until(() => session.ended, { what: "the end" });
    expect(server.peers[0]!.received).not.toContain("r2@");
  });

  for (const way of ["given", "refused", "rejected", "thrown"] as const) {
    for (const offered of [[], ["CHUNKING"], ["PIPELINING"], ["PIPELINING", "CHUNKING"]]) {
      test(`${way} later, with ${offered.join(" and ") || "nothing"} offered`, async () => {
        server = await openScriptServer(async (peer) => {
          await hello(peer, ...offered);
          for (;;) {
            const [command] = await peer.expect(/^.*\r\n/).catch(() => ["" as string]);
            if (command === "") return;
            if (command.startsWith("DATA")) {
              peer.send("354 go\r\n");
              await peer.expect(/^[^]*\r\n\.\r\n/).then(
                () => peer.send("250 queued\r\n"),
                () => {},
              );
            } else if (command.startsWith("BDAT")) {
              await peer.expect(new RegExp(`^[^]{${command.split(" ")[1]}}`));
              peer.send("250 queued\r\n");
            } else peer.send(command.startsWith("QUIT") ? "221 bye\r\n" : "250 ok\r\n");
          }
        });
        let asked = 0;
        const session = await openTestSession(server.port, {
          events: {
            permit() {
              asked++;
              if (way === "thrown") throw new Error("no journal");
              return new Promise((resolve, reject) => {
                setImmediate(() => (way === "rejected" ? reject(new Error("no journal")) : resolve(way === "given")));
              });
            },
          },
        });
        const outcomes = Array.from({ length: session.room }, (_, i) => session.submit(testMessage(i + 1)));
        const got = await kinds(outcomes);
        if (way === "given") {
          expect(got).toEqual(got.map(() => "accepted dot"));
          expect(asked).toBe(got.length);
        } else {
          expect(got[0]).toBe("unreachable local");
          expect(got.filter((kind) => !kind.startsWith("unreachable"))).toEqual([]);
          const { received } = server.peers[0]!;
          expect(received).not.toContain("Subject");
        }
        await session.quit();
      });
    }
  }
});
