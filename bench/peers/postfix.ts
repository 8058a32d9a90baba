/**
 * Postfix as a relay: a private instance with its normal durability (fsync before 250), fed with ready messages by smtp-source and sending
 * all of them to the sink. It personalises and signs nothing, so it is compared on easier work than ours. Needs root and the Debian
 * package postfix; `openPostfixRelay` says so and gives null without them.
 */
import { execFile, spawn } from "node:child_process";
import { chmod, chown, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, hasProgram } from "../flow/sink.ts";
import type { PeerResult } from "./run-nodemailer.ts";

const POSTFIX = "/usr/sbin/postfix";
const SOURCE = "/usr/sbin/smtp-source";
const LIMIT_MS = 120_000;
const run = promisify(execFile);

export interface PostfixRelay {
  /** Sends `count` messages of `bytes` through it; from the first injection to an empty queue. */
  relay(count: number, bytes: number): Promise<PeerResult>;
  close(): Promise<void>;
}

export async function openPostfixRelay(sinkPort: number): Promise<PostfixRelay | null> {
  if (process.getuid?.() !== 0 || !hasProgram(POSTFIX) || !hasProgram(SOURCE)) {
    console.log("Postfix is left out: it needs root and the Debian package postfix");
    return null;
  }
  const folder = await mkdtemp(join(tmpdir(), "postilion-relay-"));
  await chmod(folder, 0o755);
  for (const name of ["etc", "spool", "data"]) await mkdir(join(folder, name));
  const uid = Number((await run("id", ["-u", "postfix"])).stdout);
  const gid = Number((await run("id", ["-g", "postfix"])).stdout);
  await chown(join(folder, "data"), uid, gid);
  const port = await freePort();
  const etc = join(folder, "etc");
  await writeFile(join(etc, "main.cf"), mainCf(folder, sinkPort));
  await writeFile(join(etc, "master.cf"), masterCf(port));
  const master = spawn(POSTFIX, ["-c", etc, "start-fg"], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => master.once("exit", () => resolve()));
  await answers(port);
  return {
    async relay(count, bytes) {
      const began = performance.now();
      await run(
        SOURCE,
        [
          "-s",
          "20",
          "-m",
          String(count),
          "-l",
          String(bytes),
          "-f",
          "a@sender.example",
          "-t",
          "b@receiver.example",
          `127.0.0.1:${port}`,
        ],
        { timeout: LIMIT_MS },
      );
      while (!(await queueIsEmpty(join(folder, "spool")))) {
        if (performance.now() - began > LIMIT_MS) throw new Error("Postfix did not empty its queue");
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const seconds = (performance.now() - began) / 1000;
      return { perSecond: count / seconds, seconds };
    },
    async close() {
      if (master.exitCode === null) await run(POSTFIX, ["-c", etc, "stop"]).catch(() => master.kill());
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function queueIsEmpty(spool: string): Promise<boolean> {
  for (const queue of ["incoming", "active", "maildrop", "deferred"]) {
    const names = await readdir(join(spool, queue), { recursive: true, withFileTypes: true }).catch(() => []);
    if (names.some((entry) => entry.isFile())) return false;
  }
  return true;
}

function mainCf(folder: string, sinkPort: number): string {
  return `compatibility_level = 3.6
queue_directory = ${join(folder, "spool")}
data_directory = ${join(folder, "data")}
maillog_file = ${join(folder, "log")}
maillog_file_prefixes = ${folder}
myhostname = relay.bench.example
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
relayhost = [127.0.0.1]:${sinkPort}
smtpd_peername_lookup = no
default_destination_concurrency_limit = 20
initial_destination_concurrency = 20
alias_maps =
alias_database =
`;
}

function masterCf(port: number): string {
  return `127.0.0.1:${port} inet n - n - - smtpd
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
smtp      unix  -  -  n  -     -  smtp
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
anvil     unix  -  -  n  -     1  anvil
scache    unix  -  -  n  -     1  scache
postlog   unix-dgram n - n -   1  postlogd
`;
}

async function answers(port: number): Promise<void> {
  for (let i = 0; i < 400; i++) {
    const greeted = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1");
      socket.setTimeout(1000, () => socket.destroy());
      socket.once("data", () => (socket.end("QUIT\r\n"), resolve(true)));
      socket.once("error", () => resolve(false));
      socket.once("close", () => resolve(false));
    });
    if (greeted) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("Postfix did not start");
}
