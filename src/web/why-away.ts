/**
 * 503 for when no statistics server answers: a problem document with what is known without it (`known`). It is sent, not thrown: it is no error
 * of the request's handling and need not fill the log of errors, and the statistics server's absence is told there once, by itself.
 */
import { Problem, problemBody } from "../http/problem.ts";
import type { Reply } from "../http/server.ts";

const AGAIN_SECONDS = 5;

export function answerAway(reply: Reply, why: string, known: object): string {
  const problem = new Problem(503, `no statistics server answers: ${why}`, { members: { known } });
  reply.code(503).type("application/problem+json").header("retry-after", String(AGAIN_SECONDS));
  return JSON.stringify(problemBody(problem));
}
