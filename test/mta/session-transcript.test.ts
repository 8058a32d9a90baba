/** The transcript and the text of an outcome: what is told of a message says nothing of its neighbours on the session. */
import { afterEach, expect, test } from "vitest";
import type { Outcome } from "../../src/model/outcome.ts";
import type { Session } from "../../src/mta/session-contract.ts";
import { hello, openScriptServer, type ScriptServer } from "../support/script-server.ts";
import { openTestSession, testMessage } from "../support/session.ts";

let server: ScriptServer;
afterEach(() => server.close());

const told = (outcome: Outcome): string => JSON.stringify(outcome);
const sender = (id: number): string => `b+token${id}@a.test`;
const messages = [1, 2, 3].map((id) => testMessage(id, 60, { from: sender(id) }));
const [one, two, three] = messages as [(typeof messages)[0], (typeof messages)[0], (typeof messages)[0]];

async function outcomes(session: Session): Promise<[Outcome, Outcome, Outcome]> {
  return await Promise.all([session.submit(one), session.submit(two), session.submit(three)]);
}

test("pipelined: refused with its own lines and those of the session's opening", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING", "CHUNKING");
    await peer.expect(/line of message 3 .*\r\n/);
    peer.send("250 ok\r\n550 5.1.1 <r1@d.test> unknown\r\n503 r1@d.test\r\n");
    peer.send("250 reset\r\n250 ok\r\n452 4.2.2 <r2@d.test> full\r\n503 r2@d.test\r\n");
    peer.send("250 reset\r\n250 ok\r\n250 <r3@d.test> ok\r\n554 5.7.1 third\r\n");
  });
  const session = await openTestSession(server.port, { settings: { pipelineDepth: 3 } });
  const [, second, third] = await outcomes(session);
  expect(second.transcript.slice(0, 2)).toEqual(["< 220 mx.test ESMTP", "> EHLO client.test"]);
  expect(second.transcript.slice(-8)).toEqual([
    "> RSET",
    `> MAIL FROM:<${sender(2)}>`,
    "> RCPT TO:<r2@d.test>",
    `> BDAT ${two.bytes.length} LAST`,
    `> [${two.bytes.length} octets]`,
    "< 250 reset",
    "< 250 ok",
    "< 452 4.2.2 <r2@d.test> full",
  ]);
  expect(told(second)).not.toMatch(/r[13]@d|token[13]/);
  expect(third.transcript.slice(-2)).toEqual(["< 250 <r3@d.test> ok", "< 554 5.7.1 third"]);
  expect(told(third)).not.toMatch(/r[12]@d|token[12]/);
});

test("a lone dot and its answer belong to the one that was refused", async () => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING");
    await peer.expect(/DATA\r\n/);
    peer.send("250 ok\r\n550 5.1.1 no\r\n354 go\r\n");
    await peer.expect(/DATA\r\n/);
    peer.send("554 nobody took it for r1@d.test\r\n250 ok\r\n550 5.1.1 no\r\n503 no\r\n");
  });
  const session = await openTestSession(server.port);
  const [, second] = await Promise.all([session.submit(one), session.submit(two)]);
  expect(second).toMatchObject({ kind: "rejected", stage: "rcpt" });
  expect(told(second)).not.toMatch(/r1@d|token1|> \./);
});

test.each([
  [
    "421",
    "421 4.7.0 enough of <R1@d.test> from b+token1@a.test\r\n",
    "4.7.0 enough of <another recipient> from another recipient",
  ],
  ["nonsense", "354 what about r1@d.test\r\n", "unexpected reply: 354 what about another recipient"],
])("a session that ends with %s about one of them", async (_name, answer, text) => {
  server = await openScriptServer(async (peer) => {
    await hello(peer, "PIPELINING", "CHUNKING");
    await peer.expect(/line of message 3 .*\r\n/);
    peer.send(`250 ok\r\n${answer}`);
  });
  const session = await openTestSession(server.port, { settings: { pipelineDepth: 3 } });
  const [first, second, third] = await outcomes(session);
  expect(first.text.toLowerCase()).toContain("r1@d.test");
  for (const other of [second, third]) expect(other).toMatchObject({ kind: "in-doubt", text });
  expect(told(second)).not.toMatch(/r[13]@d|token[13]/i);
  expect(told(third)).not.toMatch(/r[12]@d|token[12]/i);
});
