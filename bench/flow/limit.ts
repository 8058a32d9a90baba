/**
 * What the machine could do if nothing but the unavoidable were done: 2 cores ÷ (one RSA-2048 signature + one raw pipelined write + one
 * sink read), each as CPU seconds measured now, so a slow hour of the machine moves the limit as it moves everything else.
 */
import { generateKeyPairSync, sign } from "node:crypto";
import { connect } from "node:net";
import { availableParallelism } from "node:os";
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
  const signUs = measureSign();
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

function measureSign(): number {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const data = Buffer.alloc(600, "a");
  for (let i = 0; i < 100; i++) sign("sha256", data, privateKey);
  const before = process.cpuUsage();
  const count = 1500;
  for (let i = 0; i < count; i++) sign("sha256", data, privateKey);
  const used = process.cpuUsage(before);
  return (used.user + used.system) / count;
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
