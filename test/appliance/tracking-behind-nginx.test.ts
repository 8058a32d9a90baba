/**
 * A redirection server behind Debian's nginx, with the configuration of ops/tracking.md as it stands there (but for ports and files): TLS ends at nginx, what
 * readers ask for comes through unchanged, their addresses are known, and nobody comes to the log.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as askPlain } from "node:http";
import { request as askTls, type RequestOptions } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCertificate } from "../../demo/internet/certificate.ts";
import { freePort } from "../support/free-port.ts";
import { type Answer, link, openTestRedirector, SECRET, type TestRedirector, token } from "../support/redirector.ts";
import { ROOT } from "../support/source.ts";
import { until } from "../support/until.ts";

const NGINX = "/usr/sbin/nginx";
const HOST = "t.example.com";
/** Not the proxy's own address, which is believed. */
const READER = "127.0.0.2";

if (!existsSync(NGINX)) console.log("skipped: there is no nginx here (apt-get install nginx-light)");

interface Front {
  readonly https: number;
  readonly http: number;
  readonly certificate: string;
  close(): Promise<void>;
}

/** The snippet of the page, with a second server behind it if one is given. */
function snippet(ports: { https: number; http: number }, behind: readonly number[], folder: string): string {
  const text = /```nginx\n([^]*?)```/.exec(readFileSync(join(ROOT, "ops/tracking.md"), "utf8"))?.[1] ?? "";
  const [first = 0, spare] = behind;
  const changed = text
    .replace("server 127.0.0.1:8081;", `server 127.0.0.1:${first};`)
    .replace(/# server 192\.0\.2\.12:8081;.*/, spare === undefined ? "" : `server 127.0.0.1:${spare};`)
    .replace("listen 443 ssl;", `listen 127.0.0.1:${ports.https} ssl;`)
    .replace("listen 80;", `listen 127.0.0.1:${ports.http};`)
    .replaceAll("/etc/nginx/tls/", `${folder}/`);
  for (const left of [/\b8081\b/, /listen (443|80)\b/, /\/etc\/nginx/])
    if (left.test(changed)) throw new Error(`the page's nginx configuration has changed: ${left}`);
  return changed;
}

async function openFront(behind: readonly number[]): Promise<Front> {
  const folder = mkdtempSync(join(tmpdir(), "postilion-nginx-"));
  const certificate = makeCertificate([HOST]);
  writeFileSync(join(folder, `${HOST}.pem`), certificate.cert);
  writeFileSync(join(folder, `${HOST}.key`), certificate.key, { mode: 0o600 });
  const ports = { https: await freePort(), http: await freePort() };
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  for (const name of paths) mkdirSync(join(folder, name));
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; pid ${folder}/pid; error_log stderr warn; worker_processes 1; ${process.getuid?.() === 0 ? "user root;" : ""}
events { worker_connections 256; }
http {
${paths.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n")}
${snippet(ports, behind, folder)}
}
`,
  );
  let said = "";
  const nginx: ChildProcess = spawn(NGINX, ["-e", "stderr", "-p", folder, "-c", join(folder, "nginx.conf")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  nginx.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const gone = new Promise((resolve) => nginx.once("exit", resolve));
  await until(() => existsSync(join(folder, "pid")) || nginx.exitCode !== null, { what: "nginx to be up" });
  if (nginx.exitCode !== null) throw new Error(`nginx ended: ${said}`);
  return {
    ...ports,
    certificate: certificate.cert,
    async close() {
      nginx.kill("SIGTERM");
      await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** As a reader somewhere. */
function ask(
  { https, http, certificate }: Front,
  path: string,
  more: { method?: string; body?: string; headers?: Record<string, string>; plain?: boolean } = {},
): Promise<Answer> {
  const { method = "GET", body, headers, plain = false } = more;
  const options: RequestOptions = {
    host: "127.0.0.1",
    localAddress: READER,
    port: plain ? http : https,
    path,
    method,
    headers: { host: HOST, "user-agent": "Mozilla/5.0 (X11) Reader", ...headers },
    agent: false,
    servername: HOST,
    ca: certificate,
  };
  return new Promise((resolve, reject) => {
    const sent = (plain ? askPlain : askTls)(options, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.once("error", reject);
      response.once("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(parts).toString("utf8"),
        }),
      );
    });
    sent.once("error", reject);
    sent.end(body);
  });
}

describe.skipIf(!existsSync(NGINX))("behind nginx", () => {
  let server: TestRedirector;
  let front: Front;
  beforeAll(async () => {
    server = await openTestRedirector({
      settings: { trustedProxies: ["127.0.0.1", "::1"], clientAddress: "full" },
      tracking: { url: `https://${HOST}` },
    });
    front = await openFront([server.port]);
  });
  afterAll(async () => {
    await front?.close();
    await server?.close();
  });

  test("a click leads on, whatever was done to the link, and the reader's own address is written down", async () => {
    const path = `/r/${token(1)}/${link()}`;
    const ways = [
      path,
      `${path}/`,
      `${path}&utm=1#x`,
      `/r/${token(1).toUpperCase()}/${link()}`,
      `/%72/${token(1)}//${link()}`,
    ];
    for (const way of ways)
      expect(await ask(front, way)).toMatchObject({
        status: 302,
        headers: { location: "https://www.example.com/shop?a=b" },
      });
    const forged = await ask(front, path, { headers: { "x-forwarded-for": "192.0.2.7, 127.0.0.1" } });
    expect(forged.status).toBe(302);
    expect((await ask(front, path, { method: "HEAD" })).status).toBe(302);
    const records = (await server.records()).filter(({ message }) => message === 1);
    expect(records).toHaveLength(ways.length + 2);
    expect(new Set(records.map(({ ip }) => ip))).toEqual(new Set([READER]));
    expect(records.map(({ method }) => method).at(-1)).toBe("HEAD");
  });

  test("the longest link there is comes through", async () => {
    const url = `https://www.example.com/${"x".repeat(4096 - 24)}`;
    const answer = await ask(front, `/r/${token(2)}/${link({ url })}`, { headers: { cookie: "a".repeat(4000) } });
    expect(answer).toMatchObject({ status: 302, headers: { location: url } });
  });

  test("unsubscribing by one click, by the page, and web tracking", async () => {
    const body = "List-Unsubscribe=One-Click";
    const type = { "content-type": "application/x-www-form-urlencoded" };
    const answer = await ask(front, `/u/${token(3)}`, { method: "POST", body, headers: type });
    expect(answer).toMatchObject({ status: 200, body: expect.stringContaining("You are unsubscribed") });
    expect(answer.headers["content-security-policy"]).toContain("default-src 'none'");
    expect((await ask(front, `/u/${token(3)}`)).body).toContain("<button");
    expect((await ask(front, `/t?tag=order&type=transaction&amount=5&token=${token(3)}`)).status).toBe(200);
    const records = (await server.records()).filter(({ message }) => message === 3);
    expect(records.map(({ kind, hint }) => `${kind} ${hint}`)).toEqual(["unsubscribe one-click", "transaction "]);
  });

  test("a link that is not genuine is answered by us, and leads nowhere", async () => {
    for (const path of [
      `/r/${token(1)}/${link().slice(0, -1)}`,
      "/r/x/y",
      "//evil.example/",
      "/https://evil.example/",
    ]) {
      const answer = await ask(front, path);
      expect(answer).toMatchObject({ status: 404, body: expect.stringContaining("This link does not work") });
      expect(answer.headers.location).toBeUndefined();
    }
  });

  test("nobody comes to log and metrics, not even with the secret", async () => {
    const headers = { authorization: `Bearer ${SECRET}` };
    for (const path of [
      "/log?after=0",
      "/LOG/?after=0",
      "//log?after=0",
      "/%6cog?after=0",
      "/log.?after=0",
      "/metrics",
      "/Metrics/",
    ]) {
      const answer = await ask(front, path, { headers });
      expect([path, answer.status, answer.headers["x-log"]]).toEqual([path, 404, undefined]);
      expect(answer.body).toContain("nginx");
    }
    expect((await server.ask("/log?after=0", { headers })).status).toBe(200);
  });

  test("who comes without TLS is sent to where it is, with what they asked for", async () => {
    const answer = await ask(front, `/r/${token(1)}/${link()}`, { plain: true });
    expect(answer).toMatchObject({ status: 308, headers: { location: `https://${HOST}/r/${token(1)}/${link()}` } });
  });

  test("a server that is gone costs nobody anything while there is a spare one", async () => {
    const gone = await openTestRedirector();
    const both = await openFront([gone.port, server.port]);
    try {
      await gone.close();
      for (let i = 0; i < 6; i++) {
        expect((await ask(both, `/r/${token(4)}/${link()}`)).status).toBe(302);
        expect((await ask(both, `/u/${token(4)}`, { method: "POST", body: "page=1" })).status).toBe(200);
      }
      expect((await server.records()).filter(({ message }) => message === 4)).toHaveLength(12);
    } finally {
      await both.close();
    }
  });
});
