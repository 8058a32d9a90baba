/** Runs the nodemailer peer in its own process; messages a second, start-up not counted. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface PeerResult {
  readonly perSecond: number;
  readonly seconds: number;
}

export async function runNodemailer(options: {
  port: number;
  count: number;
  connections: number;
  /** PEM file; '' for unsigned. */
  keyFile: string;
}): Promise<PeerResult> {
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, "nodemailer.ts"),
      "--port",
      String(options.port),
      "--count",
      String(options.count),
      "--connections",
      String(options.connections),
      ...(options.keyFile === "" ? [] : ["--key", options.keyFile]),
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const exit = once(child, "exit");
  let last = "";
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === "ready") child.stdin.write("go\n");
    else last = line;
  }
  const [code] = (await exit) as [number | null];
  if (code !== 0) throw new Error(`the nodemailer peer ended with ${code}`);
  const { sent, seconds } = JSON.parse(last) as { sent: number; seconds: number };
  if (sent !== options.count) throw new Error(`the nodemailer peer sent ${sent} of ${options.count}`);
  return { perSecond: sent / seconds, seconds };
}
