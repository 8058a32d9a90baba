/** What redirection servers, web and workflow must agree on: where each is, and the secret they show each other. */
import { Fault } from "../base/faults.ts";
import { type Log, silentLog } from "../base/log.ts";
import { loadSecretFile } from "./secret-file.ts";
import type { Settings } from "./settings.ts";

/** The text of `tracking.secretFile`, or of keys/tracking.secret under dataDir. Faults: KEY_UNREADABLE. */
export function loadTrackingSecret(
  { dataDir, tracking }: Pick<Settings, "dataDir" | "tracking">,
  log: Log = silentLog,
): Buffer {
  const fallback = "keys/tracking.secret";
  const secret = loadSecretFile({ named: tracking.secretFile, fallback, setting: "tracking.secretFile", dataDir }, log);
  // It is sent as a bearer token (RFC 6750 §2.1): another text would be refused by who has the same.
  if (!/^[!-~]{1,200}$/.test(secret.toString("latin1")))
    throw new Fault(
      "KEY_UNREADABLE",
      `${tracking.secretFile || fallback}: a tracking secret is at most 200 characters of ASCII without spaces`,
    );
  return secret;
}

/** Does this machine run a redirection server? */
export function runsRedirector({ tracking, redirector }: Pick<Settings, "tracking" | "redirector">): boolean {
  return redirector.run && tracking.url !== "";
}

/** Base addresses of the redirection servers whose log is pulled. */
export function redirectorsOf(settings: Settings): readonly string[] {
  const { workflow } = settings;
  if (workflow.redirectors.length > 0) return [...new Set(workflow.redirectors.map(withoutSlash))];
  return runsRedirector(settings) ? [ownRedirector(settings)] : [];
}

/** Base address of this machine's own redirection server, as one reaches it from here. */
export function ownRedirector({ redirector }: Pick<Settings, "redirector">): string {
  return ownBase(redirector.tls.length > 0 ? "https" : "http", redirector.host, redirector.port);
}

/** Base address of the web module, as a redirection server reaches it. */
export function webOf({ redirector, web }: Pick<Settings, "redirector" | "web">): string {
  return withoutSlash(redirector.web) || ownBase("http", web.host, web.port);
}

/** Paths are put behind it. */
function withoutSlash(base: string): string {
  return base.replace(/\/+$/, "");
}

/** A server of this machine: one that listens everywhere is reached on loopback. */
function ownBase(scheme: string, host: string, port: number): string {
  if (host === "0.0.0.0" || host === "") return `${scheme}://127.0.0.1:${port}`;
  if (host === "::") return `${scheme}://[::1]:${port}`;
  return `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}
