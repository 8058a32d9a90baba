/** What the resources of the API are given: made once by api.ts, handed to every file that adds routes. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../config/settings.ts";
import type { Sql } from "../db/sql.ts";
import type { IdPool } from "../db/volumes.ts";
import type { Problem } from "../http/problem.ts";
import type { Content } from "../model/delivery.ts";
import type { Preview as Rendered } from "../render/compose.ts";
import type { CheckContent, Defaults, rememberGood } from "./content.ts";
import type { RouteContext } from "./route/route.ts";

/** Renders one message; a string is the reason why it cannot be. */
export type Preview = (
  content: Content,
  recipient: { readonly address: string; readonly variables: string },
) => Promise<Rendered | string>;

export interface ApiDeps {
  readonly settings: Settings;
  readonly sql: Sql;
  readonly log: Log;
  readonly clock: Clock;
  readonly version: string;
  /** What the renderer says of a content, and one message of it. */
  readonly checkContent: CheckContent;
  readonly preview: Preview;
  /** Text of all metrics; absent: none are kept. */
  readonly metrics?: () => Promise<string>;
}

export interface ApiContext extends Omit<ApiDeps, "checkContent">, RouteContext {
  readonly checkContent: ReturnType<typeof rememberGood>;
  readonly ids: IdPool;
  readonly defaults: Defaults;
  explain(error: unknown): Problem | null;
}
