/** The database a process works on: the one of the settings, or the embedded one. */
import { Fault } from "../base/faults.ts";
import type { Log } from "../base/log.ts";
import { type Embedded, openEmbedded } from "./embedded.ts";
import type { Sql } from "./sql.ts";

export interface DatabasePlace {
  /** '' for the embedded one. */
  readonly url: string;
  /** Of the embedded one. */
  readonly port: number;
  readonly dataDir: string;
}

export interface Database {
  readonly url: string;
  /** null when the settings name another. */
  readonly embedded: Embedded | null;
  close(): Promise<void>;
}

/** Faults: DATABASE_START, PORT_TAKEN. A URL is not tried here: pools connect when they are used. */
export async function openDatabase(place: DatabasePlace, log: Log): Promise<Database> {
  if (place.url !== "") return { url: place.url, embedded: null, close: async () => {} };
  const embedded = await openEmbedded({ dataDir: place.dataDir, port: place.port, log });
  return { url: embedded.url, embedded, close: () => embedded.close() };
}

/** Connects once. Faults: DATABASE_UNREACHABLE, with the server's own words and without the password. */
export async function requireAnswer(sql: Sql): Promise<void> {
  try {
    await sql`select 1`;
  } catch (error) {
    const { host, port, database } = sql.options;
    const why = (error as Error).message || String(error);
    throw new Fault("DATABASE_UNREACHABLE", `${host.join(",")}:${port.join(",")}/${database}: ${why}`, error);
  }
}
