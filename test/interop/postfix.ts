/**
 * A private Postfix: its own settings, queue and data under a temporary folder, on loopback ports, delivering into one maildir.
 * Two doors: `smtp` (STARTTLS, CHUNKING, SMTPUTF8) and `screened`, behind postscreen, which greets in two lines a second apart and
 * hangs up on who speaks between them. It rewrites nothing, as a stranger's server. It needs root; what it lacks is said by `missing()`.
 */
import { execFile, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, chmod, chown, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeCertificate } from "../../demo/internet/certificate.ts";
import { freePort } from "../support/free-port.ts";
import { talkTo } from "../demo/talk.ts";
import { until } from "../support/until.ts";
import type { Receiver } from "./receiver.ts";

const POSTFIX = "/usr/sbin/postfix";
/** Of `nobody`: who owns the delivered mail. */
const NOBODY = 65_534;

/** Why Postfix cannot be run here, '' when it can. */
export async function missing(): Promise<string> {
  if (process.getuid?.() !== 0) return "Postfix wants to be started by root";
  try {
    await access(POSTFIX, constants.X_OK);
    return "";
  } catch {
    return `${POSTFIX} is not installed`;
  }
}

/** Takes mail for `domains`, for whatever user. */
export async function openPostfix(domains: readonly string[]): Promise<Receiver & { readonly screenedPort: number }> {
  const folder = await mkdtemp(join(tmpdir(), "postilion-postfix-"));
  const [port, screenedPort] = [await freePort(), await freePort()];
  const etc = join(folder, "etc");
  // The daemons run as user postfix and must get through.
  await chmod(folder, 0o755);
  for (const name of ["etc", "spool", "data", "mail"]) await mkdir(join(folder, name));
  await chown(join(folder, "mail"), NOBODY, NOBODY);
  const { uid, gid } = await idOf("postfix");
  await chown(join(folder, "data"), uid, gid);
  const { key, cert } = makeCertificate(["mx.interop.example"]);
  await writeFile(join(etc, "key.pem"), key + cert, { mode: 0o600 });
  await writeFile(join(etc, "main.cf"), mainCf(folder, domains));
  await writeFile(join(etc, "master.cf"), masterCf(port, screenedPort));
  const run = promisify(execFile);
  const master = spawn(POSTFIX, ["-c", etc, "start-fg"], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => master.once("exit", () => resolve()));
  const close = async (): Promise<void> => {
    if (master.exitCode === null) await run(POSTFIX, ["-c", etc, "stop"]).catch(() => master.kill());
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await until(async () => ((await talkTo("127.0.0.1", port)).close(), true), {
      what: "Postfix to greet",
      timeoutMs: 60_000,
    });
  } catch (error) {
    await close();
    throw error;
  }
  return {
    name: "Postfix",
    port,
    screenedPort,
    mailbox: join(folder, "mail", "all", "new"),
    log: join(folder, "log"),
    close,
  };
}

function mainCf(folder: string, domains: readonly string[]): string {
  const settings: Record<string, string> = {
    compatibility_level: "3.6",
    queue_directory: join(folder, "spool"),
    data_directory: join(folder, "data"),
    maillog_file: join(folder, "log"),
    maillog_file_prefixes: folder,
    myhostname: "mx.interop.example",
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    // Nobody is a friend: no rewriting, no relaying, no exceptions from the checks.
    mynetworks: "",
    local_header_rewrite_clients: "",
    mydestination: "",
    alias_maps: "",
    alias_database: "",
    smtputf8_enable: "yes",
    smtpd_tls_security_level: "may",
    smtpd_tls_chain_files: join(folder, "etc", "key.pem"),
    smtpd_tls_received_header: "yes",
    virtual_mailbox_domains: domains.join(", "),
    virtual_mailbox_base: join(folder, "mail"),
    virtual_mailbox_maps: "static:all/",
    virtual_uid_maps: `static:${NOBODY}`,
    virtual_gid_maps: `static:${NOBODY}`,
    smtpd_peername_lookup: "no",
    postscreen_access_list: "",
    postscreen_greet_action: "enforce",
    postscreen_greet_wait: "1s",
    // Remembers nobody, so that every connection is made to wait.
    postscreen_greet_ttl: "1s",
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join("");
}

function masterCf(port: number, screenedPort: number): string {
  return `127.0.0.1:${port} inet n - n - - smtpd
127.0.0.1:${screenedPort} inet n - n - 1 postscreen
smtpd     pass  -  -  n  -     -  smtpd
tlsproxy  unix  -  -  n  -     0  tlsproxy
dnsblog   unix  -  -  n  -     0  dnsblog
cleanup   unix  n  -  n  -     0  cleanup
qmgr      unix  n  -  n  300   1  qmgr
tlsmgr    unix  -  -  n  1000? 1  tlsmgr
rewrite   unix  -  -  n  -     -  trivial-rewrite
bounce    unix  -  -  n  -     0  bounce
defer     unix  -  -  n  -     0  bounce
trace     unix  -  -  n  -     0  bounce
flush     unix  n  -  n  1000? 0  flush
proxymap  unix  -  -  n  -     -  proxymap
error     unix  -  -  n  -     -  error
retry     unix  -  -  n  -     -  error
virtual   unix  -  n  n  -     -  virtual
anvil     unix  -  -  n  -     1  anvil
postlog   unix-dgram n - n -   1  postlogd
`;
}

async function idOf(user: string): Promise<{ uid: number; gid: number }> {
  const run = promisify(execFile);
  const [uid, gid] = await Promise.all(
    ["-u", "-g"].map(async (which) => Number((await run("id", [which, user])).stdout)),
  );
  return { uid: uid ?? 0, gid: gid ?? 0 };
}
