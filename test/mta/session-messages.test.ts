/** Messages over a session, byte for byte: what leaves together, what waits for what, and whose answer is whose. */
import { afterEach, describe, expect, test } from "vitest";
import { hello, openScriptServer, type Peer, type ScriptServer } from "../support/script-server.ts";
import { openTestSession, testMessage } from "../support/session.ts";
import { until } from "../support/until.ts";
import type { WireMessage } from "../../src/mta/session-contract.ts";

let server: ScriptServer;
afterEach(() => server.close());

const text = (message: WireMessage): string => Buffer.from(message.bytes).toString("latin1");
const mailRcpt = (id: number): string => `MAIL FROM:<s@a.test>\r\nRCPT TO:<r${id}@d.test>\r\n`;
const literal = (expected: string): RegExp => new RegExp(`^${expected.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`);
/** Exactly this has come, and nothing behind it: the client waits. */
async function exactly(peer: Peer, expected: string): Promise<void> {
  await peer.expect(literal(expected));
  expect(peer.unread).toBe("");
}

const [one, two, three] = [testMessage(1), testMessage(2), testMessage(3)] as const;

test("step by step: a command at a time, RSET alone after a refused recipient", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer);
    await exactly(peer, "MAIL FROM:<s@a.test>\r\n");
    peer.send("250 ok\r\n");
    await exactly(peer, "RCPT TO:<r1@d.test>\r\n");
    peer.send("550 5.1.1 no\r\n");
    await exactly(peer, "RSET\r\n");
    peer.send("250 ok\r\n");
    await exactly(peer, "MAIL FROM:<s@a.test>\r\n");
    peer.send("250 ok\r\n");
    await exactly(peer, "RCPT TO:<r2@d.test>\r\n");
    peer.send("250 ok\r\n");
    await exactly(peer, "DATA\r\n");
    peer.send("354 go\r\n");
    await exactly(peer, `${text(two)}.\r\n`);
    peer.send("250 2.0.0 queued\r\n");
    await exactly(peer, "QUIT\r\n");
    peer.send("221 bye\r\n");
    await peer.gone();
  });
  const session = await openTestSession(server.port);
  expect(session.room).toBe(1);
  expect(await session.submit(one)).toMatchObject({
    kind: "rejected",
    stage: "rcpt",
    enhanced: "5.1.1",
    text: "5.1.1 no",
  });
  const got = await session.submit(two);
  expect(got).toMatchObject({ kind: "accepted", stage: "dot", code: 250, enhanced: "2.0.0", text: "2.0.0 queued" });
  expect(got.transcript).toEqual([]);
  await session.quit();
  expect(session.ended).toBe(true);
});

test("pipelined: body and dot of one leave with MAIL RCPT DATA of the next", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING");
    await exactly(peer, `${mailRcpt(1)}DATA\r\n`);
    peer.send("250 ok\r\n250 ok\r\n354 go\r\n");
    await exactly(peer, `${text(one)}.\r\n${mailRcpt(2)}DATA\r\n`);
    peer.send("250 first\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    await exactly(peer, `${text(two)}.\r\n${mailRcpt(3)}DATA\r\n`);
    peer.send("451 4.3.0 second\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    await exactly(peer, `${text(three)}.\r\n`);
    peer.send("250 third\r\n");
  });
  const left = [three];
  const outcomes: Promise<unknown>[] = [];
  const session = await openTestSession(server.port, {
    events: {
      change() {
        const next = session.room > 0 ? left.shift() : undefined;
        if (next !== undefined) outcomes.push(session.submit(next));
      },
    },
  });
  expect(session.room).toBe(2);
  outcomes.push(session.submit(one), session.submit(two));
  expect(session.room).toBe(0);
  await until(() => session.settled === 3, { what: "three outcomes" });
  expect(await Promise.all(outcomes)).toMatchObject([
    { kind: "accepted", text: "first" },
    { kind: "deferred", stage: "dot", text: "4.3.0 second" },
    { kind: "accepted", text: "third" },
  ]);
});

test("pipelined: the next envelope leaves at once while the dot is awaited", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING");
    await exactly(peer, `${mailRcpt(1)}DATA\r\n`);
    peer.send("250 ok\r\n250 ok\r\n354 go\r\n");
    await exactly(peer, `${text(one)}.\r\n`);
    submitTwo();
    await exactly(peer, `${mailRcpt(2)}DATA\r\n`);
    peer.send("250 first\r\n550 no\r\n503 no\r\n503 no\r\n");
  });
  let submitTwo = (): void => {};
  const session = await openTestSession(server.port);
  const second = new Promise<unknown>((resolve) => (submitTwo = () => resolve(session.submit(two))));
  expect(await session.submit(one)).toMatchObject({ kind: "accepted" });
  expect(await second).toMatchObject({ kind: "rejected", stage: "mail" });
});

test("pipelined: a refused recipient with 354 gets a dot alone, whose answer is nobody's", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING");
    await exactly(peer, `${mailRcpt(1)}DATA\r\n`);
    peer.send("250 ok\r\n550 5.1.1 no\r\n354 go\r\n");
    await exactly(peer, `.\r\n${mailRcpt(2)}DATA\r\n`);
    peer.send("250 queued nothing\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    await exactly(peer, `${text(two)}.\r\n`);
    peer.send("250 second\r\n");
    await exactly(peer, "QUIT\r\n");
    peer.close();
  });
  const asked: number[] = [];
  const permit = (message: WireMessage): boolean => asked.push(message.id) > 0;
  const session = await openTestSession(server.port, { events: { permit } });
  const outcomes = [session.submit(one), session.submit(two)];
  expect(await Promise.all(outcomes)).toMatchObject([
    { kind: "rejected", stage: "rcpt", code: 550 },
    { kind: "accepted", text: "second" },
  ]);
  expect(session.settled).toBe(1);
  expect(asked).toEqual([2]);
  await session.quit();
});

test("pipelined: a refused recipient without 354 is followed by RSET, in the next message's write", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING");
    await exactly(peer, `${mailRcpt(1)}DATA\r\n`);
    peer.send("250 ok\r\n450 4.2.2 full\r\n554 5.5.1 no valid recipients\r\n");
    await exactly(peer, `RSET\r\n${mailRcpt(2)}DATA\r\n`);
    peer.send("250 reset\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    await exactly(peer, `${text(two)}.\r\n`);
    peer.send("250 second\r\n");
  });
  const session = await openTestSession(server.port);
  const outcomes = [session.submit(one), session.submit(two)];
  expect(await Promise.all(outcomes)).toMatchObject([
    { kind: "deferred", stage: "rcpt", code: 450, enhanced: "4.2.2" },
    { kind: "accepted", text: "second" },
  ]);
});

test("RSET refused: the messages behind it are not sent", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING");
    await exactly(peer, `${mailRcpt(1)}DATA\r\n`);
    peer.send("250 ok\r\n450 no\r\n554 no\r\n");
    await exactly(peer, `RSET\r\n${mailRcpt(2)}DATA\r\n`);
    peer.send("502 what\r\n250 ok\r\n250 ok\r\n354 go\r\n");
    await peer.gone();
    expect(peer.unread).toBe("");
  });
  const session = await openTestSession(server.port);
  const outcomes = [session.submit(one), session.submit(two)];
  expect(await Promise.all(outcomes)).toMatchObject([{ kind: "deferred" }, { kind: "unreachable", stage: "mail" }]);
});

test("streaming: envelope and body leave together, several messages in flight", async () => {
  const chunk = (message: WireMessage): string => `BDAT ${message.bytes.length} LAST\r\n${text(message)}`;
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING", "CHUNKING", "SIZE 100000", "DSN");
    const mail = (id: number, message: WireMessage): string =>
      `MAIL FROM:<s@a.test> SIZE=${message.bytes.length}\r\nRCPT TO:<r${id}@d.test> NOTIFY=NEVER\r\n${chunk(message)}`;
    await exactly(peer, `${mail(1, one)}RSET\r\n${mail(2, two)}RSET\r\n${mail(3, three)}`);
    peer.send("250 ok\r\n550 5.1.1 no\r\n503 5.5.1 no recipients\r\n");
    peer.send("250 reset\r\n250 ok\r\n250 ok\r\n250 second\r\n250 reset\r\n250 ok\r\n250 ok\r\n452 4.3.1 third\r\n");
    await exactly(peer, `RSET\r\n${mail(1, one)}`);
    peer.send("250 reset\r\n250 ok\r\n250 ok\r\n250 again\r\n");
    await exactly(peer, mail(2, two));
    peer.send("250 ok\r\n250 ok\r\n250 ok\r\n");
  });
  const session = await openTestSession(server.port, { settings: { pipelineDepth: 3, dsn: "never" } });
  const outcomes = [session.submit(one), session.submit(two), session.submit(three)];
  expect(session.room).toBe(0);
  expect(await Promise.all(outcomes)).toMatchObject([
    { kind: "rejected", stage: "rcpt" },
    { kind: "accepted", text: "second" },
    { kind: "deferred", stage: "dot", enhanced: "4.3.1" },
  ]);
  expect(await session.submit(one)).toMatchObject({ kind: "accepted", text: "again" });
  expect(await session.submit(two)).toMatchObject({ kind: "accepted" });
});

test("CHUNKING switched off is not used", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING", "CHUNKING");
    await exactly(peer, `${mailRcpt(1)}DATA\r\n`);
    peer.send("250 ok\r\n250 ok\r\n354 go\r\n");
    await exactly(peer, `${text(one)}.\r\n`);
    peer.send("250 ok\r\n");
  });
  const session = await openTestSession(server.port, { settings: { chunking: false } });
  expect(await session.submit(one)).toMatchObject({ kind: "accepted" });
});

test("replies split and joined anywhere", async () => {
  const replies = "250-a\r\n250 ok\r\n250 ok\r\n354 go\r\n";
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING");
    await exactly(peer, `${mailRcpt(1)}DATA\r\n`);
    for (const byte of replies) {
      peer.send(byte);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await exactly(peer, `${text(one)}.\r\n`);
    peer.send("250 o");
    await new Promise((resolve) => setImmediate(resolve));
    peer.send("k\r\n");
  });
  const session = await openTestSession(server.port);
  expect(await session.submit(one)).toMatchObject({ kind: "accepted", text: "ok" });
});

describe("nothing leaves for", () => {
  const cases: [name: string, offered: string[], parts: Partial<WireMessage>, expected: object][] = [
    ["a message that is too big", ["SIZE 100"], {}, { kind: "rejected", enhanced: "5.3.4", stage: "local", code: 0 }],
    ["SMTPUTF8 that is not offered", [], { smtputf8: true }, { kind: "rejected", enhanced: "5.6.7", stage: "local" }],
    ["an address outside ASCII", [], { to: "é@d.test" }, { kind: "rejected", enhanced: "5.6.7" }],
    ["CRLF in the recipient", [], { to: "a@b\r\nDATA" }, { kind: "rejected", enhanced: "5.1.3" }],
    ["CR in a quoted recipient", [], { to: '"a\rb"@b' }, { kind: "rejected", enhanced: "5.1.3" }],
    ["a second address", [], { to: "a@b> <c@d" }, { kind: "rejected", enhanced: "5.1.3" }],
    ["no recipient", [], { to: "" }, { kind: "rejected", enhanced: "5.1.3" }],
    ["LF in the sender", [], { from: "a@b\nX" }, { kind: "rejected", enhanced: "5.1.7" }],
    ["a message without end", [], { bytes: Buffer.from("x") }, { kind: "unrenderable", stage: "local" }],
    ["an empty message", [], { bytes: new Uint8Array(0) }, { kind: "unrenderable", stage: "local" }],
  ];
  test.each(cases)("%s", async (_name, offered, parts, expected) => {
    server = await openScriptServer(async (peer) => {
      await hello(peer, "PIPELINING", ...offered);
      await exactly(peer, "QUIT\r\n");
      peer.close();
    });
    const session = await openTestSession(server.port);
    expect(await session.submit(testMessage(1, 200, parts))).toMatchObject({
      ...expected,
      mx: "mx.test",
      latencyMs: 0,
    });
    expect(session.room).toBe(2);
    await session.quit();
  });
});

test("SMTPUTF8, the null sender and a quoted local part", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING", "SMTPUTF8", "8BITMIME", "SIZE");
    const utf8 = Buffer.from("RCPT TO:<é@d.test>\r\n").toString("latin1");
    await exactly(peer, `MAIL FROM:<> SIZE=${one.bytes.length} BODY=8BITMIME SMTPUTF8\r\n${utf8}DATA\r\n`);
    peer.send("250 ok\r\n550 no\r\n503 no\r\n");
    await exactly(peer, `RSET\r\nMAIL FROM:<> SIZE=${one.bytes.length}\r\nRCPT TO:<"a <b> c"@d.test>\r\nDATA\r\n`);
    peer.send("250 ok\r\n250 ok\r\n550 no\r\n503 no\r\n");
  });
  const session = await openTestSession(server.port);
  expect(await session.submit({ ...one, from: "", to: "é@d.test", smtputf8: true })).toMatchObject({
    kind: "rejected",
  });
  const got = await session.submit({ ...one, from: "", to: '"a <b> c"@d.test' });
  expect(got).toMatchObject({ kind: "rejected", stage: "rcpt" });
});
