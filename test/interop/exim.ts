/**
 * A private Exim from an unpacked Debian package (which cannot be installed beside Postfix): its own settings and spool under a
 * temporary folder, a loopback port, delivery into one maildir. STARTTLS, CHUNKING, SMTPUTF8, and the check that a client does not
 * speak before its turn. Debian's Exim insists on a user Debian-exim; where there is none it gets a mount namespace in which there is.
 */
import { execFile, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, chmod, chown, glob, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { makeCertificate } from "../../demo/internet/certificate.ts";
import { freePort } from "../support/free-port.ts";
import { talkTo } from "../demo/talk.ts";
import { until } from "../support/until.ts";
import type { Receiver } from "./receiver.ts";

/** Where `.ci/run` unpacks it; POSTILION_EXIM names another binary. */
const PLACES = [process.env["POSTILION_EXIM"] ?? "", "/var/cache/postilion-ci/exim/usr/sbin/exim4", "/usr/sbin/exim4"];
const USER = "Debian-exim";
/** Of `nobody`, as whom it runs and delivers. */
const NOBODY = 65_534;

/** Why Exim cannot be run here, '' when it can. */
export async function missing(): Promise<string> {
  if (process.getuid?.() !== 0) return "Exim wants to be started by root";
  const binary = await findBinary();
  if (binary === "") return "Exim is neither installed nor unpacked (POSTILION_EXIM may name its binary)";
  const folder = await mkdtemp(join(tmpdir(), "postilion-exim-"));
  try {
    const [program = "", ...args] = await commandLine(folder, binary, ["-bV", "-C", "/dev/null"]);
    await promisify(execFile)(program, args, { env: await environment(binary) });
    return "";
  } catch (error) {
    return `Exim does not run: ${String(error).split("\n")[0]}`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Takes mail for `domains`, for whatever user. */
export async function openExim(domains: readonly string[]): Promise<Receiver> {
  const binary = await findBinary();
  const folder = await mkdtemp(join(tmpdir(), "postilion-exim-"));
  const port = await freePort();
  const config = join(folder, "exim.conf");
  await chmod(folder, 0o755);
  for (const name of ["spool", "mail"]) {
    await mkdir(join(folder, name));
    await chown(join(folder, name), NOBODY, NOBODY);
  }
  const { key, cert } = makeCertificate(["mx.exim.example"]);
  await writeFile(join(folder, "key.pem"), key + cert);
  await writeFile(config, settings(folder, binary, port, domains));
  const [program = "", ...args] = await commandLine(folder, binary, ["-bdf", "-C", config]);
  const daemon = spawn(program, args, {
    stdio: "ignore",
    detached: true,
    env: await environment(binary),
  });
  const ended = new Promise<void>((done) => daemon.once("exit", () => done()));
  const close = async (): Promise<void> => {
    // The whole group at once: a process that still serves a connection would make the folder again to log its end there.
    if (daemon.exitCode === null && daemon.pid !== undefined) process.kill(-daemon.pid, "SIGKILL");
    await ended;
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const greets = async (): Promise<boolean> => ((await talkTo("127.0.0.1", port)).close(), true);
    await until(greets, { what: "Exim to greet", timeoutMs: 60_000 });
  } catch (error) {
    await close();
    throw error;
  }
  return { name: "Exim", port, mailbox: join(folder, "mail", "new"), log: join(folder, "spool", "mainlog"), close };
}

async function findBinary(): Promise<string> {
  for (const place of PLACES) {
    if (place === "") continue;
    const found = await access(place, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return place;
  }
  return "";
}

/** Libraries unpacked beside the binary are found there. */
async function environment(binary: string): Promise<NodeJS.ProcessEnv> {
  const folders = await Array.fromAsync(glob(resolve(binary, "../../lib/*-linux-gnu")));
  return { PATH: process.env["PATH"], LD_LIBRARY_PATH: folders.join(":") };
}

async function commandLine(folder: string, binary: string, args: readonly string[]): Promise<string[]> {
  const passwd = await readFile("/etc/passwd", "utf8");
  if (passwd.includes(`\n${USER}:`)) return [binary, ...args];
  const group = await readFile("/etc/group", "utf8");
  await writeFile(join(folder, "passwd"), `${passwd}${USER}:x:${NOBODY}:${NOBODY}::/nonexistent:/usr/sbin/nologin\n`);
  await writeFile(join(folder, "group"), `${group}${USER}:x:${NOBODY}:\n`);
  const script = `mount --bind '${folder}/passwd' /etc/passwd && mount --bind '${folder}/group' /etc/group && exec "$@"`;
  return ["unshare", "--mount", "sh", "-c", script, "sh", binary, ...args];
}

function settings(folder: string, binary: string, port: number, domains: readonly string[]): string {
  return `primary_hostname = mx.exim.example
# Exim delivers only the first ten messages of a connection at once.
smtp_accept_queue_per_connection = 0
exim_path = ${binary}
exim_user = ${NOBODY}
exim_group = ${NOBODY}
spool_directory = ${folder}/spool
log_file_path = ${folder}/spool/%slog
pid_file_path = ${folder}/spool/pid
local_interfaces = <; 127.0.0.1.${port}
keep_environment =
# Delivers as the user that received: it may not become root by its setuid bit with settings of its own.
deliver_drop_privilege = true
tls_advertise_hosts = *
tls_certificate = ${folder}/key.pem
tls_privatekey = ${folder}/key.pem
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
smtp_enforce_sync = true
host_lookup =
dkim_verify_signers =
acl_smtp_rcpt = takes
acl_smtp_mail = accept
domainlist ours = ${domains.join(" : ")}

begin acl
takes:
  accept domains = +ours
  deny message = 5.7.1 not here

begin routers
all:
  driver = accept
  domains = +ours
  transport = box

begin transports
box:
  driver = appendfile
  directory = ${folder}/mail
  maildir_format
`;
}
