/** The fast sink in a process of its own, so that its work is not counted with ours. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FastSink, SinkCounts, SinkOptions } from "./fast-sink.ts";

/** The sink in a process of its own, which ends with this one. */
export async function openSinkProcess(options: SinkOptions = {}): Promise<FastSink<Promise<SinkCounts>>> {
  const args = ["--port", String(options.port ?? 0), "--latency", String(options.latency ?? 0)];
  if (options.chunking) args.push("--chunking");
  if (options.pipelining === false) args.push("--no-pipelining");
  if (options.store !== undefined) args.push("--store", options.store);
  const child = fork(fileURLToPath(new URL("fast-sink.ts", import.meta.url)), args, {
    silent: false,
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const next = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      child.once("message", (message) => resolve(message as T));
      child.once("exit", (code) => reject(new Error(`the sink ended: ${code}`)));
    });
  const { port } = await next<{ port: number }>();
  return {
    port,
    counts() {
      const answer = next<SinkCounts>();
      child.send("counts");
      return answer;
    },
    close() {
      return new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.once("exit", () => resolve());
        child.kill();
      });
    },
  };
}
