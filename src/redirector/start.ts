/**
 * The module redirector: clicks, opens, unsubscribing, mirror pages, web tracking, and the log of it all. It has keys, a secret, a folder and a port, and needs
 * nothing else: no database, and web only for mirror pages it has not seen and for the list of stopped links.
 */
import { existsSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { openMetrics } from "../base/metrics.ts";
import { withReleasers } from "../base/releasers.ts";
import { openReread } from "../base/reread.ts";
import { rereadTokenKeys } from "../config/keys.ts";
import type { Settings } from "../config/settings.ts";
import { loadTrackingSecret, webOf } from "../config/tracking-place.ts";
import { openHttpClient } from "../http/client.ts";
import { ringMark } from "../model/token.ts";
import { openAccess } from "./access.ts";
import { openCertificates } from "./certificates.ts";
import { openClientAddresses } from "./client-address.ts";
import { openCounts } from "./counts.ts";
import { openCookies } from "./hits/cookies.ts";
import { lineOf } from "./hits/visit.ts";
import { openTrackingLog } from "./log.ts";
import { openMirrorCache } from "./mirror/cache.ts";
import { openSending } from "./mirror/sending.ts";
import { openMirrorSource } from "./mirror/source.ts";
import { openPages } from "./pages/pages.ts";
import { openRequests } from "./requests.ts";
import { openListener } from "./server.ts";
import { openKeptStops } from "./stops.ts";

export interface RedirectorContext {
  readonly settings: Settings;
  readonly log: Log;
  readonly clock: Clock;
}

const KEYS_MS = 5_000;
/** Of a process; what it opens besides them is little. */
const MOST_CONNECTIONS = 20_000;
const OTHER_FILES = 500;

/** Faults: KEY_UNREADABLE, PORT_TAKEN, SETTINGS_INVALID, TRACKING_LOG_UNWRITABLE, TRACKING_LOG_LOCKED. */
export function bareStart({
  settings,
  log,
  clock,
}: RedirectorContext): Promise<{ drain(): Promise<void>; port: number }> {
  return withReleasers(async (releasers) => {
    const { redirector, tracking, dataDir } = settings;
    const folder = redirector.folder || join(dataDir, "redirector");
    const web = webOf(settings);
    const secret = loadTrackingSecret(settings, log);
    const keys = openReread({
      what: "token keys",
      everyMs: KEYS_MS,
      clock,
      log,
      // None are made: with keys of its own it would know no link that is out, look well, and be sent readers.
      read: () => rereadTokenKeys(settings, log),
      mark: ringMark,
    });
    releasers.add(() => keys.close());
    const addresses = openClientAddresses(redirector.trustedProxies, redirector.clientAddress, log);
    const certificates = redirector.tls.length > 0 ? openCertificates(redirector.tls, clock, log) : null;
    releasers.add(() => certificates?.close());
    const metrics = openMetrics("redirector");
    releasers.add(() => metrics.close());
    const counts = openCounts(metrics);
    const pages = openPages({ folder: redirector.pagesFolder, clock, log, sent: counts.page });
    releasers.add(() => pages.close());
    const trackingLog = await openTrackingLog({ ...redirector, folder, clock, log, wrote: counts.wrote });
    releasers.add(() => trackingLog.close());
    const http = openHttpClient({ clock });
    releasers.add(() => http.close());
    const ring = () => keys.current;
    const stops = openKeptStops({
      file: join(folder, "stops.json"),
      everyMs: redirector.stopsMs,
      web,
      secret,
      keys: ring,
      http,
      clock,
      log,
    });
    releasers.add(() => stops.close());
    const cache = openMirrorCache({
      folder: join(folder, "mirror"),
      mostBytes: redirector.mirrorCacheBytes,
      clock,
      log,
    });
    const secure = certificates !== null || tracking.url.startsWith("https:");
    const listener = await openListener({
      host: redirector.host,
      port: redirector.port,
      certificates,
      clock,
      log,
      mostConnections: mostConnections(),
      handle: openRequests({
        keys: ring,
        stops: () => stops.current,
        pages,
        cookies: openCookies(redirector.visitorCookie, secure),
        clock,
        redirectStatus: redirector.status,
        strayVisits: redirector.strayVisits,
        record(request, visit, done) {
          counts.hit(visit.kind);
          trackingLog.append(lineOf(request, visit, clock.now(), addresses.of(request)), done);
        },
        mirrors: openMirrorSource({ cache, youngMs: redirector.mirrorCacheMs, web, secret, http, clock, log }),
        sending: openSending(clock),
        access: openAccess(secret),
        trackingLog,
        health: { host: settings.machine || hostname(), version: readVersion(), clock },
        counts,
        log,
      }),
    });
    releasers.add(() => listener.close());
    // Who waits for the log to grow would keep the listener from closing.
    releasers.add(() => trackingLog.release());
    counts.addGauges({
      log: trackingLog.facts,
      connections: () => listener.connections,
      stops: () => ({ count: stops.current.count, heardAt: stops.heardAt }),
      mirrorBytes: () => cache.bytes,
      certificateExpiresAt: () => certificates?.expiresAt ?? null,
    });
    log.info(
      { host: redirector.host, port: listener.port, tls: certificates !== null },
      "the redirection server listens",
    );
    return { port: listener.port, drain: () => releasers.all() };
  });
}

/** As many as the process may have; where nobody tells, what every system allows. */
function mostConnections(): number {
  const limits = existsSync("/proc/self/limits") ? readFileSync("/proc/self/limits", "utf8") : "";
  const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 1024);
  return Math.max(100, Math.min(MOST_CONNECTIONS, files - OTHER_FILES));
}

function readVersion(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}
