/**
 * Certificates of the tracking domains, chosen by the name a reader asks for (SNI) and read again when their files change: a renewed one is used without
 * a restart. A pair of files that do not belong together, as they are for a moment while they are replaced, leaves the last good ones in use.
 */
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Clock } from "../base/clock.ts";
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import { openReread } from "../base/reread.ts";
import type { RedirectorSettings } from "../config/tracking-settings.ts";

export interface Certificates {
  /** For who asks for no name. */
  readonly standard: SecureContextOptions;
  /** For a name; the first one where none fits. */
  contextOf(name: string): SecureContext;
  /** When the first of them expires, epoch ms. */
  readonly expiresAt: number;
  /** Called with what is standard now, after each change. */
  onChange(listener: (standard: SecureContextOptions) => void): void;
  close(): void;
}

interface Pair {
  readonly text: SecureContextOptions & { readonly cert: string; readonly key: string };
  readonly certificate: X509Certificate;
  readonly context: SecureContext;
}

const REREAD_MS = 5_000;
/** Names whose certificate is remembered: strangers ask for any name. */
const MOST_NAMES = 1000;

/** At least one pair of files. Faults: KEY_UNREADABLE. */
export function openCertificates(files: RedirectorSettings["tls"], clock: Clock, log: Log): Certificates {
  const listeners: ((standard: SecureContextOptions) => void)[] = [];
  const known = new Map<string, SecureContext>();
  const pairs = openReread({
    what: "certificates",
    everyMs: REREAD_MS,
    clock,
    log,
    read: () => files.map(readPair),
    mark: (list) => hashOf(list.map(({ text }) => `${text.cert}\0${text.key}`).join("\0")),
    changed(list) {
      known.clear();
      for (const listener of listeners) listener(first(list).text);
    },
  });
  return {
    get standard() {
      return first(pairs.current).text;
    },
    contextOf(name) {
      let context = known.get(name);
      if (context === undefined) {
        const pair = pairs.current.find(({ certificate }) => certificate.checkHost(name) !== undefined);
        context = (pair ?? first(pairs.current)).context;
        if (known.size >= MOST_NAMES) known.clear();
        known.set(name, context);
      }
      return context;
    },
    get expiresAt() {
      return Math.min(...pairs.current.map(({ certificate }) => certificate.validToDate.getTime()));
    },
    onChange: (listener) => void listeners.push(listener),
    close: () => pairs.close(),
  };
}

function first(pairs: readonly Pair[]): Pair {
  return pairs[0] as Pair;
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function readPair({ certFile, keyFile }: RedirectorSettings["tls"][number]): Pair {
  try {
    const text = { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
    const certificate = new X509Certificate(text.cert);
    // Of two kinds (RSA, EC) OpenSSL takes a pair that does not belong together, and fails at each handshake.
    if (!certificate.checkPrivateKey(createPrivateKey(text.key)))
      throw new Error(`${keyFile} is the key of another one`);
    return { text, certificate, context: createSecureContext(text) };
  } catch (error) {
    throw new Fault("KEY_UNREADABLE", `${certFile} (redirector.tls): ${(error as Error).message}`, error);
  }
}
