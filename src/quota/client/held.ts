/** Connections as a hello names them. */
import type { HeldConnection } from "../messages.ts";
import type { Connection } from "./connection.ts";

const MOST_HELD = 1000;

export function heldOf(connections: readonly Connection[]): HeldConnection[] {
  return connections.slice(0, MOST_HELD).map(({ id, lane, path, granted }) => ({
    conn: id,
    site: lane.site,
    publicId: lane.publicId,
    exchanger: { mx: path.mx, ip: path.ip },
    granted,
  }));
}
