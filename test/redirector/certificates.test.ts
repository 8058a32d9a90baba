/** TLS: the certificate that fits the name, renewed without a restart, and what is wrong with files. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connect, type PeerCertificate, type TLSSocket } from "node:tls";
import { authority, expired, good, type TestCertificate } from "../support/certificates.ts";
import { handClock } from "../support/clock.ts";
import { link, openTestRedirector, type TestRedirector, token } from "../support/redirector.ts";

let folder: string;
let server: TestRedirector | null = null;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postilion-certificates-"));
});
afterEach(async () => {
  await server?.close();
  server = null;
  rmSync(folder, { recursive: true, force: true });
});

const localhost = {
  cert: readFileSync(new URL("../support/tls/localhost.crt", import.meta.url), "utf8"),
  key: readFileSync(new URL("../support/tls/localhost.key", import.meta.url), "utf8"),
};

function put(
  name: string,
  { cert, key }: Pick<TestCertificate, "cert" | "key">,
): { certFile: string; keyFile: string } {
  const files = { certFile: join(folder, `${name}.crt`), keyFile: join(folder, `${name}.key`) };
  writeFileSync(files.certFile, cert);
  writeFileSync(files.keyFile, key, { mode: 0o600 });
  return files;
}

/** Who shows up for a name; '' for none. */
function shown(servername: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect(
      { host: "127.0.0.1", port: server!.port, rejectUnauthorized: false, ...(servername !== "" && { servername }) },
      () => {
        const { subject, valid_to: until }: PeerCertificate = socket.getPeerCertificate();
        socket.destroy();
        resolve(`${String(subject.CN)} ${new Date(until).getUTCFullYear()}`);
      },
    );
    socket.once("error", reject);
  });
}

const nameOf = ({ chain }: TestCertificate): string =>
  `${/CN=(.*)/.exec(chain[0]!.subject)![1]} ${chain[0]!.validToDate.getUTCFullYear()}`;

test("files that are not there, are no certificate, or do not belong together are a fault", async () => {
  const fits = put("good", good);
  const other = put("localhost", localhost);
  for (const pair of [
    { ...fits, certFile: join(folder, "none") },
    { ...fits, keyFile: join(folder, "none") },
    { ...fits, certFile: fits.keyFile },
    { ...fits, keyFile: other.keyFile },
  ]) {
    await expect(openTestRedirector({ settings: { tls: [pair] } })).rejects.toMatchObject({
      code: "KEY_UNREADABLE",
      message: expect.stringContaining("redirector.tls"),
    });
  }
});

test("the one that fits the name; the first for any other name and for none", async () => {
  server = await openTestRedirector({ settings: { tls: [put("localhost", localhost), put("good", good)] } });
  const [own, theirs] = [await shown(""), nameOf(good)];
  expect(own).not.toBe(theirs);
  expect(await shown("mx1.good.test")).toBe(theirs);
  expect(await shown("x.wild.test")).toBe(theirs);
  expect(await shown("MX1.GOOD.TEST")).toBe(theirs);
  expect(await shown("localhost")).toBe(own);
  expect(await shown("unknown.example")).toBe(own);
  expect(await shown("a.b.wild.test")).toBe(own);
});

test("a renewed one is used without a restart; half of one is not", async () => {
  const clock = handClock();
  const files = put("own", expired);
  server = await openTestRedirector({ settings: { tls: [files] }, clock });
  expect(await shown("mx1.good.test")).toBe(nameOf(expired));
  writeFileSync(files.certFile, localhost.cert);
  await clock.advance(5_000);
  expect(await shown("mx1.good.test")).toBe(nameOf(expired));
  put("own", good);
  await clock.advance(5_000);
  expect(await shown("mx1.good.test")).toBe(nameOf(good));
  expect(await shown("")).toBe(nameOf(good));
});

test("a click over HTTPS, verified as a browser does; cookies are marked secure", async () => {
  server = await openTestRedirector({ settings: { tls: [put("good", good)], visitorCookie: true } });
  const { port } = server;
  const headers = await new Promise<Record<string, unknown>>((resolve, reject) => {
    request(
      {
        host: "127.0.0.1",
        port,
        servername: "mx1.good.test",
        ca: authority,
        path: `/r/${token(1)}/${link()}`,
        agent: false,
      },
      (response) => {
        response.resume();
        resolve(response.headers);
      },
    )
      .on("error", reject)
      .end();
  });
  expect(headers["location"]).toBe("https://www.example.com/shop?a=b");
  expect(String(headers["set-cookie"])).toContain("Secure; SameSite=None");
});
