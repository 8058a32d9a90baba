/** What every kind of hit needs to be served. */
import type { IncomingMessage } from "node:http";
import type { Clock } from "../../base/clock.ts";
import type { Stops } from "../../model/stops.ts";
import type { TokenKeyRing } from "../../model/token.ts";
import type { Done } from "../log/writer.ts";
import type { Pages } from "../pages/pages.ts";
import type { Cookies } from "./cookies.ts";
import type { Visit } from "./visit.ts";

export interface HitContext {
  readonly keys: () => TokenKeyRing;
  readonly stops: () => Stops;
  readonly pages: Pages;
  readonly cookies: Cookies;
  readonly clock: Clock;
  /** Is what nobody's visit tells written down? */
  readonly strayVisits: boolean;
  /** 302 or 307. */
  readonly redirectStatus: number;
  /** Writes the hit down; `done` is told whether it is on the disk. */
  record(request: IncomingMessage, visit: Visit, done: Done): void;
}
