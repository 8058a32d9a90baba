/**
 * The quota client: model/traffic.ts Traffic over a link to the statistics server (quota/link-contract.ts). Messages are asked for ahead
 * and in batches; without the server it goes on by its share until the horizon.
 */
import type { Clock } from "../base/clock.ts";
import type { Traffic } from "../model/traffic.ts";
import type { QueryName } from "./messages.ts";
import type { Link } from "./link-contract.ts";

export interface QuotaClientOptions {
  readonly clock: Clock;
  readonly link: Link;
  /** Drawn when the process began (messages.ts hello). Not given: random. */
  readonly process?: string;
  /** Nothing is attempted in the last so many ms before a permission ends: a message takes a while to the wire. */
  readonly guardMs?: number;
  /** Said once each: the server is gone, is back, the horizon has passed. */
  readonly say?: (text: string) => void;
}

export interface QuotaClient extends Traffic {
  /** Whether the server is there. */
  readonly connected: boolean;
  /** The server's answer to a query; rejects when the link is down or goes down, and after 10 s. */
  query(what: QueryName, args: Readonly<Record<string, unknown>>): Promise<unknown>;
}

export function openQuotaClient(options: QuotaClientOptions): QuotaClient {
  throw new Error(`not yet: ${options.guardMs ?? 0}`);
}
