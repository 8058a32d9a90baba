/** Where the statistics servers of the settings are, for who asks or belongs to them: addresses, and what to trust there. */
import { readFileSync } from "node:fs";
import { Fault } from "../base/faults.ts";
import type { StatSettings } from "./stat-settings.ts";

export interface StatPlace {
  /** host:port. */
  readonly addresses: readonly string[];
  /** Authority to trust (PEM), null for the system's; null: no TLS. */
  readonly tls: { readonly ca: string | null } | null;
}

/** Faults: KEY_UNREADABLE when the file of the authority cannot be read. */
export function statPlace({ addresses, host, port, tls }: StatSettings): StatPlace {
  return { addresses: addresses.length > 0 ? addresses : [ownAddress(host, port)], tls: linkTls(tls) };
}

/** The server of this machine: one that listens everywhere is reached on loopback. */
function ownAddress(host: string, port: number): string {
  if (host === "0.0.0.0" || host === "") return `127.0.0.1:${port}`;
  if (host === "::") return `[::1]:${port}`;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

function linkTls({ certFile, caFile }: StatSettings["tls"]): StatPlace["tls"] {
  if (certFile === "" && caFile === "") return null;
  if (caFile === "") return { ca: null };
  try {
    return { ca: readFileSync(caFile, "utf8") };
  } catch (error) {
    throw new Fault("KEY_UNREADABLE", `${caFile} (stat.tls.caFile): ${(error as Error).message}`, error);
  }
}
