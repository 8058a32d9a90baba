/**
 * What the machine could do if nothing but the unavoidable were done: 2 cores ÷ (one RSA-2048 signature + one raw pipelined write + one
 * sink read), each measured now and with all cores busy, so a slow hour of the machine moves the limit as it moves everything else.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { BenchSink } from "./sink.ts";

export interface Limit {
  readonly signUs: number;
  readonly writeUs: number;
  readonly readUs: number;
  /** Messages a second of the whole machine. */
  readonly signed: number;
  readonly unsigned: number;
}

export async function measureLimit(sink: BenchSink, message: Buffer, count: number): Promise<Limit> {
  const signUs = await measureSign();
  const sinkBefore = sink.cpuSeconds();
  const before = process.cpuUsage();
  await writeRaw(sink.port, message, count);
  const used = process.cpuUsage(before);
  const writeUs = (used.user + used.system) / count;
  const readUs = ((sink.cpuSeconds() - sinkBefore) * 1e6) / count;
  const cores = availableParallelism();
  return {
    signUs,
    writeUs,
    readUs,
    signed: (cores * 1e6) / (signUs + writeUs + readUs),
    unsigned: (cores * 1e6) / (writeUs + readUs),
  };
}

/** All cores sign at once, as they do behind a delivery: a core alone is faster than one with a busy neighbour (285 against 350 µs). */
async function measureSign(): Promise<number> {
  const took = await Promise.all(
    Array.from({ length: availableParallelism() }, async () => {
      const worker = new Worker(new URL("./sign.worker.ts", import.meta.url));
      const [us] = (await once(worker, "message")) as [number];
      return us;
    }),
  );
  return took.reduce((a, b) => a + b, 0) / took.length;
}

/** One connection, one round trip a message: the dot of one and the envelope of the next in one write. */
function writeRaw(port: number, message: Buffer, count: number): Promise<void> {
  const envelope = Buffer.from("MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@receiver.example>\r\nDATA\r\n");
  const whole = Buffer.concat([message, Buffer.from(".\r\n"), envelope]);
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    socket.setTimeout(30_000, () => socket.destroy(new Error("the sink fell silent")));
    let sent = 0;
    let tail = "";
    let state: "banner" | "ehlo" | "data" = "banner";
    socket.on("data", (data: Buffer) => {
      tail = (tail + data.toString("latin1")).slice(-200);
      if (state === "banner") {
        state = "ehlo";
        socket.write("EHLO bench\r\n");
      } else if (state === "ehlo" && /^250 /m.test(tail)) {
        state = "data";
        tail = "";
        socket.write(envelope);
      } else if (state === "data" && tail.includes("354")) {
        tail = "";
        if (sent++ < count) socket.write(whole);
        else {
          socket.destroy();
          resolve();
        }
      }
    });
    socket.on("error", reject);
  });
}
