/** What the demo and the process of its pretend Internet say to each other over the IPC channel. */
import type { Receipt } from "./received.ts";
import type { ZoneRecord } from "./internet.ts";

export type Request =
  /** `recipients`: how many there will be; which of them are readers follows from it. */
  | {
      readonly ask: "open";
      readonly seed: number;
      readonly recipients: number;
      readonly records: readonly ZoneRecord[];
    }
  | { readonly ask: "report"; readonly folder: string };

export interface Opened {
  /** `address:port` of the name server. */
  readonly dns: string;
  /** Where every exchanger listens. */
  readonly port: number;
  readonly hosts: number;
}

export interface HostCounts {
  readonly name: string;
  readonly character: string;
  readonly connections: number;
  readonly refused: number;
  readonly dropped: number;
}

export interface Report extends Receipt {
  readonly total: number;
  /** Epoch ms of the first message, 0 when none came. */
  readonly firstAt: number;
  readonly peak: number;
  readonly counts: readonly HostCounts[];
}

export type Answer =
  | { readonly answer: "opened"; readonly opened: Opened }
  | { readonly answer: "report"; readonly report: Report }
  | { readonly answer: "error"; readonly text: string };
