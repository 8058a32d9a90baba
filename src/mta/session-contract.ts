/** What the mta gives an SMTP session and gets from it (`mta/session.ts`). */
import type { Outcome } from "../model/outcome.ts";
import type { TlsDemand } from "./tls-policy/contract.ts";

export interface WireMessage {
  readonly id: number;
  /** Envelope sender, '' for the null sender. */
  readonly from: string;
  readonly to: string;
  /** See render/contract.ts: ends with CRLF, no line begins with a dot, no bare CR or LF. */
  readonly bytes: Uint8Array;
  readonly smtputf8: boolean;
}

/** Where a session goes to and how. */
export interface SessionTarget {
  /** Exchanger's name, for TLS (SNI, certificate) and the ledger. */
  readonly mx: string;
  readonly ip: string;
  readonly port: number;
  /** Local address, '' for the system's choice. */
  readonly localAddress: string;
  readonly publicId: number;
  readonly helo: string;
  readonly tls: "opportunistic" | "required" | "disabled";
  /** What the TLS policy of the recipient domain asks; it goes before `tls`. null or absent: nothing. */
  readonly demand?: TlsDemand | null;
  readonly auth: { readonly user: string; readonly password: string; readonly insecure: boolean } | null;
}

export interface SessionEvents {
  /**
   * Asked right before the final dot (or the BDAT chunk) of a message would be written: the journal's intent. `false` (or a rejection)
   * means the message must not leave: the session breaks off before the dot and its outcome is `unreachable` at stage `local`.
   */
  permit(message: WireMessage): boolean | Promise<boolean>;
  /** Room became free, or the session ended: time to submit, or to forget it. */
  change(): void;
}

export interface Session {
  readonly target: SessionTarget;
  /** Messages that may be submitted now; 0 when full, closing or closed. */
  readonly room: number;
  /** Messages submitted whose outcome is not known yet. */
  readonly inFlight: number;
  /** Messages that got an answer to their dot on this session. */
  readonly settled: number;
  readonly ended: boolean;
  /** Needs room > 0. Never rejects. */
  submit(message: WireMessage): Promise<Outcome>;
  /** Takes no more; says QUIT when what is in flight has its outcome. Resolves when the socket is closed. */
  quit(): Promise<void>;
  /** Cuts the connection: what has its dot written becomes in-doubt, the rest unreachable. */
  destroy(): void;
}
