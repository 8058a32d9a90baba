/**
 * OpenDKIM's verifier (`opendkim-testmsg`) on messages of ours. It asks the resolver of the system, so it runs in a mount namespace whose
 * resolv.conf names a name server of the test on port 53 of a loopback address: root only, like all receivers here.
 */
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openDns } from "../../demo/internet/dns.ts";

export interface OpenDkim {
  /** '' when every signature is good, else what OpenDKIM says. */
  verify(message: Uint8Array): Promise<string>;
  close(): Promise<void>;
}

/** Why it cannot be asked here, '' when it can. */
export async function missing(): Promise<string> {
  if (process.getuid?.() !== 0) return "OpenDKIM's verifier needs a resolv.conf of its own, which needs root";
  const run = promisify(execFile);
  const absent = await run("sh", ["-c", "command -v opendkim-testmsg && unshare --mount true"]).then(
    () => false,
    () => true,
  );
  return absent ? "opendkim-testmsg is not installed, or no mount namespace is to be had" : "";
}

export async function openOpenDkim(name: string, record: string): Promise<OpenDkim> {
  const address = `127.53.${process.pid % 250}.53`;
  const dns = await openDns([{ name, type: "TXT", text: record }], address, 53);
  const folder = await mkdtemp(join(tmpdir(), "postilion-opendkim-"));
  const resolv = join(folder, "resolv.conf");
  await writeFile(resolv, `nameserver ${address}\noptions timeout:2 attempts:2\n`);
  const script = `mount --bind '${resolv}' /etc/resolv.conf && exec opendkim-testmsg`;
  return {
    verify: (message) => feed("unshare", ["--mount", "sh", "-c", script], message),
    async close() {
      await dns.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function feed(program: string, args: readonly string[], input: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ["pipe", "ignore", "pipe"], timeout: 20_000 });
    let said = "";
    child.stderr.on("data", (text: Buffer) => (said += text.toString()));
    child.on("error", (error) => resolve(error.message));
    child.on("close", (code) => resolve(code === 0 ? "" : said.trim() || `exit code ${code}`));
    // A verifier that ends early closes the pipe; its exit code says why.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}
