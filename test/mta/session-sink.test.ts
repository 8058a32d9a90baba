/** Messages by the thousand, to servers that are not scripted: each arrives once, byte for byte, under its own envelope. */
import { afterEach, describe, expect, test } from "vitest";
import type { Session, WireMessage } from "../../src/mta/session-contract.ts";
import { openFastSink, type SinkMessage } from "../support/fast-sink.ts";
import { openTestSession } from "../support/session.ts";
import { openSmtpSink } from "../support/smtp-sink.ts";

let server: { close(): Promise<void> };
afterEach(() => server.close());

/** Sizes around every buffer's edge; lines with dots inside, never in front. */
function message(id: number): WireMessage {
  const lines = Array.from({ length: (id * 7) % 290 }, (_, i) => `${id}.${i} ${"abc. ".repeat((id + i) % 15)}`);
  const bytes = Buffer.from(`Subject: ${id}\r\n\r\n${lines.map((line) => `${line}\r\n`).join("")}`);
  return { id, from: `b+${id}@bounce.test`, to: `r${id}@d.test`, bytes, smtputf8: false };
}

/** Submits all of them, as soon as there is room. */
async function carry(session: Session, count: number): Promise<string[]> {
  const kinds: string[] = [];
  const running = new Set<Promise<void>>();
  for (let id = 1; id <= count; id++) {
    while (session.room === 0) await Promise.race(running);
    const one = session.submit(message(id)).then((outcome) => {
      kinds.push(outcome.kind);
      running.delete(one);
    });
    running.add(one);
  }
  await Promise.all(running);
  return kinds;
}

function check(got: readonly SinkMessage[], count: number): void {
  expect(got).toHaveLength(count);
  for (const { from, to, raw } of got) {
    const id = Number(/^b\+(\d+)@bounce\.test$/.exec(from)?.[1]);
    expect(to).toEqual([`r${id}@d.test`]);
    if (!raw.equals(message(id).bytes)) expect(raw.toString()).toBe(Buffer.from(message(id).bytes).toString());
  }
  expect(new Set(got.map(({ from }) => from)).size).toBe(count);
}

describe("a thousand messages over one session", () => {
  test.each([
    ["step by step", { pipelining: false }],
    ["pipelined", {}],
    ["streaming", { chunking: true }],
    ["with chunks, step by step", { chunking: true, pipelining: false }],
    ["streaming, far away", { chunking: true, latency: 1 }],
    ["pipelined, far away", { latency: 1 }],
  ])("%s", async (_name, options) => {
    const got: SinkMessage[] = [];
    const sink = await openFastSink(options, (one) => got.push(one));
    server = sink;
    const session = await openTestSession(sink.port, { settings: { pipelineDepth: 5 } });
    expect(new Set(await carry(session, 1000))).toEqual(new Set(["accepted"]));
    expect([session.settled, sink.counts().connections]).toEqual([1000, 1]);
    await session.quit();
    check(got, 1000);
  });
});

test("smtp-server takes them too, and refuses whom it is told to", async () => {
  const sink = await openSmtpSink({ recipient: (to) => (/[37]@/.test(to) ? "550 5.1.1 No such user" : "") });
  server = sink;
  const session = await openTestSession(sink.port);
  const kinds = await carry(session, 300);
  await session.quit();
  expect(kinds.filter((kind) => kind === "accepted")).toHaveLength(240);
  expect(kinds.filter((kind) => kind === "rejected")).toHaveLength(60);
  check(sink.messages, 240);
});
