/** Errors as the API tells them: `application/problem+json` (RFC 9457). A handler throws a Problem; everything else it throws is a bug or a fault. */
import { STATUS_CODES } from "node:http";

export interface ProblemItem {
  /** Where in the request: `content.subject`, `query.limit`; '' for the whole. */
  readonly path: string;
  readonly message: string;
  /** Of a template, counted from 1. */
  readonly line?: number;
  readonly column?: number;
}

export interface ProblemExtras {
  readonly errors?: readonly ProblemItem[];
  /** Seconds; sent as `Retry-After`. */
  readonly retryAfter?: number;
  /** More members of the answer (RFC 9457 §3.2). */
  readonly members?: Readonly<Record<string, unknown>>;
}

export class Problem extends Error {
  readonly status: number;
  readonly extras: ProblemExtras;
  /** `detail` is a sentence for a person. */
  constructor(status: number, detail: string, extras: ProblemExtras = {}) {
    super(detail);
    this.name = "Problem";
    this.status = status;
    this.extras = extras;
  }
}

/** The body of the answer. */
export function problemBody(problem: Problem): Record<string, unknown> {
  return {
    type: "about:blank",
    title: STATUS_CODES[problem.status] ?? "Error",
    status: problem.status,
    detail: problem.message,
    ...problem.extras.members,
    errors: problem.extras.errors ?? [],
  };
}
