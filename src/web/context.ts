/** What the resources of the API are given: made once by api.ts, handed to every file that adds routes. */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import type { Settings } from "../config/settings.ts";
import type { Sql } from "../db/sql.ts";
import type { IdPool } from "../db/volumes.ts";
import type { Load } from "../http/load.ts";
import type { Problem } from "../http/problem.ts";
import type { Content, ContentLink } from "../model/delivery.ts";
import type { TokenKeyRing } from "../model/token.ts";
import type { Preview as Rendered } from "../render/compose.ts";
import type { CheckContent, Defaults, rememberGood } from "./content.ts";
import type { AskStat, StatAnswers } from "./why/ask.ts";
import type { FindExchangers } from "./why/exchangers.ts";
import type { WhyDeps } from "./why/gather.ts";
import type { RouteContext } from "./route/route.ts";

/** Renders one message; a string is the reason why it cannot be. */
export type Preview = (
  content: Content,
  recipient: { readonly address: string; readonly variables: string; readonly deliveryId: number },
) => Promise<Rendered | string>;

/** What redirection servers and web agree on, as the files have it now. */
export interface TrackingServers {
  /** What they show. */
  secret(): Buffer;
  /** The first one signs. */
  tokenKeys(): TokenKeyRing;
}

export interface ApiDeps {
  readonly settings: Settings;
  readonly sql: Sql;
  readonly log: Log;
  readonly clock: Clock;
  readonly version: string;
  /** What the renderer says of a content, and one message of it. */
  readonly checkContent: CheckContent;
  readonly preview: Preview;
  /** The links of a content, tracked or not. */
  readonly linksOf: (content: Content) => readonly ContentLink[];
  /** Asks the statistics server (quota/link/ask.ts); absent: none is asked. */
  readonly askStat?: AskStat;
  /** Where mail to a domain goes; absent: the DNS of the settings is asked. */
  readonly exchangers?: FindExchangers;
  /** What this machine shares with redirection servers; absent: none is answered. */
  readonly servers?: TrackingServers;
  /** Text of all metrics; absent: none are kept. */
  readonly metrics?: () => Promise<string>;
  /** Whether there is room for another request; absent: this process is watched. Closed with the API. */
  readonly load?: Load;
}

export interface ApiContext extends Omit<ApiDeps, "checkContent" | "askStat" | "exchangers" | "load">, RouteContext {
  readonly checkContent: ReturnType<typeof rememberGood>;
  readonly stat: StatAnswers;
  readonly why: WhyDeps;
  readonly ids: IdPool;
  readonly defaults: Defaults;
  explain(error: unknown): Problem | null;
}
