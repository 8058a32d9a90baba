/** What a lane asks to have a connection opened, and what it is told meanwhile (`mta/connect.ts`). */
import type { Outcome } from "../model/outcome.ts";
import type { ConnectionGrant, LaneKey } from "../model/traffic.ts";
import type { Session } from "./session-contract.ts";

export interface ConnectEvents {
  change(): void;
  /**
   * A connection to one of `choice` addresses was granted and is the caller's now. Resolves when it is time to open it, with false when
   * there is nothing to open it for any more.
   */
  granted(grant: ConnectionGrant, choice: number): Promise<boolean>;
  /** The address of the grant gave no session; another grant follows, or the outcome. */
  failed(grant: ConnectionGrant): void;
}

/** A session, or what the last address said; null when `signal` aborted or `granted` said no. Never rejects. */
export type Connect = (
  key: LaneKey,
  urgent: boolean,
  events: ConnectEvents,
  signal: AbortSignal,
) => Promise<Session | Outcome | null>;
