/**
 * The write path: CPU of this process for one message of 13 KB over a session, against the least there is, a socket that writes
 * the same bytes in the same rhythm and counts replies. The sink is a process of its own. The two take turns of a quarter second, because on
 * a shared machine the same work costs twice as much a second later; the median of the turns is told. Microseconds a message.
 */
import { connect } from "node:net";
import { systemClock } from "../../src/base/clock.ts";
import { parseSettings } from "../../src/config/settings.ts";
import type { Session } from "../../src/mta/session-contract.ts";
import { openTlsMemory } from "../../src/mta/session/tls-memory.ts";
import { openSession } from "../../src/mta/session.ts";
import { openSinkProcess } from "../../test/support/sink-process.ts";

const TURN_MS = 250;
/** Enough that this process always has something to do: with one, most of what is measured is falling asleep and waking up. */
const CONNECTIONS = 8;
const BODY = Buffer.from(`Subject: bench\r\n\r\n${`${"x".repeat(70)}\r\n`.repeat(181)}`);
const ENVELOPE =
  "MAIL FROM:<b+abcdefghijklmnopqrstuvwxyz23456@bounce.test> SIZE=13051\r\nRCPT TO:<recipient@domain.test>\r\nDATA\r\n";

/** Sends until `end` (ms of performance.now()); resolves to the number of messages answered. */
type Turn = (end: number) => Promise<number>;

export async function run(options: { seconds: number }): Promise<Record<string, number>> {
  const pipelined = await openSinkProcess();
  const streaming = await openSinkProcess({ chunking: true });
  const plain = await several(() => open(pipelined.port));
  const chunked = await several(() => open(streaming.port));
  const raw = await several(() => openRaw(pipelined.port));
  const turns: Record<string, Turn> = {
    pipelined: (end) => all(plain.map((session) => carry(session, end))),
    streaming: (end) => all(chunked.map((session) => carry(session, end))),
    raw: (end) => all(raw.map(({ turn }) => turn(end))),
  };
  const samples = new Map<string, number[]>(Object.keys(turns).map((name) => [name, []]));
  const rounds = Math.max(2, Math.round((options.seconds * 1000) / TURN_MS / 3));
  // One round more to warm up.
  for (let round = 0; round <= rounds; round++) {
    for (const [name, turn] of Object.entries(turns)) {
      const before = process.cpuUsage();
      const count = await turn(performance.now() + TURN_MS);
      const { user, system } = process.cpuUsage(before);
      if (round > 0) samples.get(name)!.push((user + system) / count);
    }
  }
  await Promise.all([...plain, ...chunked].map((session) => session.quit()));
  for (const { close } of raw) close();
  await Promise.all([pipelined.close(), streaming.close()]);
  return Object.fromEntries([...samples].map(([name, values]) => [`${name}Us`, median(values)]));
}

function several<T>(open: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: CONNECTIONS }, open));
}

async function all(counts: Promise<number>[]): Promise<number> {
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

async function open(port: number): Promise<Session> {
  const target = { mx: "sink.test", ip: "127.0.0.1", port, localAddress: "", publicId: 0, helo: "bench.test" };
  const session = await openSession(
    { clock: systemClock, tlsMemory: openTlsMemory(systemClock) },
    { ...target, tls: "disabled", auth: null },
    parseSettings({}).mta.smtp,
    { permit: () => true, change() {} },
  );
  if ("kind" in session) throw new Error(session.text);
  return session;
}

/** Keeps the session full, as a lane does. */
async function carry(session: Session, end: number): Promise<number> {
  let count = 0;
  const one = async (): Promise<void> => {
    while (performance.now() < end) {
      const { kind, text } = await session.submit({
        id: count,
        from: "b+abcdefghijklmnopqrstuvwxyz23456@bounce.test",
        to: "recipient@domain.test",
        bytes: BODY,
        smtputf8: false,
      });
      if (kind !== "accepted") throw new Error(text);
      count++;
    }
  };
  await Promise.all(Array.from({ length: session.room }, one));
  return count;
}

/** The same bytes in the same rhythm, without anything that a mail server needs. */
async function openRaw(port: number): Promise<{ turn: Turn; close(): void }> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  let lines = 0;
  let wanted = 1;
  let wake = (): void => {};
  socket.on("data", (bytes: Buffer) => {
    for (const byte of bytes) if (byte === 10) lines++;
    if (lines >= wanted) wake();
  });
  const replies = (count: number): Promise<void> => {
    wanted += count;
    return lines >= wanted ? Promise.resolve() : new Promise((resolve) => (wake = resolve));
  };
  await new Promise<void>((resolve) => (wake = resolve));
  const ready = replies(5);
  socket.write("EHLO bench.test\r\n");
  await ready;
  return {
    async turn(end) {
      let count = 0;
      const started = replies(3);
      socket.write(ENVELOPE);
      await started;
      for (let more = true; more; count++) {
        more = performance.now() < end;
        const answered = replies(more ? 4 : 1);
        socket.cork();
        socket.write(BODY);
        socket.write(more ? `.\r\n${ENVELOPE}` : ".\r\n");
        socket.uncork();
        await answered;
      }
      return count;
    },
    close: () => void socket.destroy(),
  };
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round((sorted[sorted.length >> 1] ?? 0) * 10) / 10;
}
