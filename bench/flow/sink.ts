/** A sink in a process of its own: `smtp-sink` (Debian package postfix) when it is installed, else the bundled one. */
import { type ChildProcess, spawn } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { connect } from "node:net";
import { join } from "node:path";

export interface BenchSink {
  readonly kind: "smtp-sink" | "bundled";
  readonly port: number;
  readonly pid: number;
  /** CPU seconds it has used. */
  cpuSeconds(): number;
  /** Messages it has counted, by its own output; smtp-sink rounds to what it has printed. */
  readonly messages: number;
  close(): Promise<void>;
}

const SMTP_SINK = "/usr/sbin/smtp-sink";

export function hasProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** CPU seconds of a process and all its threads (proc(5): utime + stime in ticks of 10 ms). */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Peak resident memory in bytes since start (proc(5) VmHWM). */
export function peakBytesOf(pid: number): number {
  const match = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1] ?? 0) * 1024;
}

export async function openBenchSink(
  options: { bundled?: boolean; latencyMs?: number; chunking?: boolean } = {},
): Promise<BenchSink> {
  const port = await freePort();
  const own = options.bundled === true || !hasProgram(SMTP_SINK);
  const child: ChildProcess = own
    ? spawn(
        process.execPath,
        [
          join(import.meta.dirname, "../../test/support/fast-sink.ts"),
          "--port",
          String(port),
          ...(options.latencyMs === undefined ? [] : ["--latency", String(options.latencyMs)]),
          ...(options.chunking === true ? ["--chunking"] : []),
        ],
        { stdio: ["ignore", "pipe", "inherit"] },
      )
    : spawn(SMTP_SINK, [...(process.getuid?.() === 0 ? ["-u", "nobody"] : []), "-c", `127.0.0.1:${port}`, "1024"], {
        stdio: ["ignore", "pipe", "inherit"],
      });
  let printed = "";
  child.stdout?.on("data", (data: Buffer) => {
    printed = (printed + data.toString("latin1")).slice(-4000);
  });
  await answers(port);
  const { pid } = child;
  if (pid === undefined) throw new Error("the sink did not start");
  return {
    kind: own ? "bundled" : "smtp-sink",
    port,
    pid,
    cpuSeconds: () => cpuSecondsOf(pid),
    get messages() {
      return Number(/mesg=(\d+)[^]*$/.exec(printed.slice(Math.max(0, printed.lastIndexOf("mesg="))))?.[1] ?? 0);
    },
    async close() {
      const gone = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await gone;
    },
  };
}

async function answers(port: number): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.once("data", () => {
        socket.destroy();
        resolve(true);
      });
      socket.once("error", () => resolve(false));
      socket.setTimeout(500, () => {
        socket.destroy();
        resolve(false);
      });
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`the sink on port ${port} does not answer`);
}
