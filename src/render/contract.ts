/**
 * What goes to a render thread and what comes back: the types of `render/pool.ts` (main thread) and `render/render.worker.ts`.
 */
import type { Content } from "../model/delivery.ts";
import type { TokenKeyRing } from "../model/token.ts";

/** One message to make. */
export interface RenderJob {
  readonly id: number;
  /** Recipient address as the ledger keeps it. */
  readonly address: string;
  /** JSON object, or '' for none: parsed in the thread, so the main thread never touches it. */
  readonly variables: string;
  /** What tracked links name; of no matter where the content is not tracked. 0: none. */
  readonly delivery: number;
}

/** A message ready for the wire, or why it could not be made. */
export type Rendered =
  | {
      readonly id: number;
      readonly error: "";
      /** Envelope sender: `b+<token>@<returnPathDomain>`. */
      readonly from: string;
      /**
       * The whole message, CRLF lines, ends with CRLF, 7-bit. By construction no line is longer than 998 octets, none begins with a
       * dot and no bare CR or LF is in it, so the same bytes go behind DATA (then `.` CRLF) and into a BDAT chunk.
       */
      readonly bytes: Uint8Array;
      /** True when an address needs SMTPUTF8 (RFC 6531): a local part outside ASCII; headers are then UTF-8. */
      readonly smtputf8: boolean;
    }
  | { readonly id: number; /** One line, says which template and where. */ readonly error: string };

/** Or it is not the message's fault: no thread could be had; to be tried again later. */
export type RenderResult = Rendered | { readonly id: number; readonly unavailable: string };

/** A content as the threads share it: UTF-8 JSON of `Content` in memory that is sent by reference. */
export interface SharedContent {
  /** Hex SHA-256; the threads' cache key. */
  readonly hash: string;
  readonly json: SharedArrayBuffer;
}

export interface DkimKeyText {
  readonly domain: string;
  readonly selector: string;
  /** PKCS#8 or PKCS#1 PEM, RSA or Ed25519. */
  readonly pem: string;
}

/** Everything secret a message needs. A new version makes the threads open the keys again. */
export interface RenderKeys {
  readonly version: number;
  readonly token: TokenKeyRing;
  readonly dkim: readonly DkimKeyText[];
}

/** One task for a thread (written by the lead, with pool.ts, render.worker.ts and base/threads.ts). */
export interface RenderTask {
  readonly content: SharedContent;
  readonly keys: RenderKeys;
  readonly jobs: readonly RenderJob[];
}

/** The messages of a task, one behind the other in one piece of memory that changes hands without being copied. */
export interface RenderBatch {
  /** Time in the thread, per message. */
  readonly messageMs: number;
  readonly bytes: ArrayBuffer;
  /** In the order of the jobs. */
  readonly messages: readonly (
    | {
        readonly id: number;
        readonly from: string;
        readonly start: number;
        readonly end: number;
        readonly smtputf8: boolean;
      }
    | { readonly id: number; readonly error: string }
  )[];
}

export type { Content };
