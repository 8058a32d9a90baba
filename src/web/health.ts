/** What a load balancer, a client generator and Prometheus ask for. */
import { requireAnswer } from "../db/open.ts";
import { Problem } from "../http/problem.ts";
import type { ApiContext } from "./context.ts";

/** A database that needs longer than this for `select 1` is not healthy. */
const PATIENCE_MS = 3_000;

export function addHealthRoutes(context: ApiContext, describe: () => unknown): void {
  const { server, sql, clock } = context;

  server.get(
    "/v1/healthz",
    { schema: { summary: "200 while the database answers", tags: ["health"], security: [] } },
    async () => {
      const began = performance.now();
      const late = Promise.withResolvers<never>();
      const timer = clock.after(PATIENCE_MS, () =>
        late.reject(new Problem(503, "the database does not answer in time", { retryAfter: 5 })),
      );
      try {
        await Promise.race([requireAnswer(sql), late.promise]);
      } finally {
        timer.cancel();
      }
      return { status: "ok", databaseMs: Math.round((performance.now() - began) * 10) / 10 };
    },
  );

  server.get("/v1/openapi.json", { schema: { summary: "This document", tags: ["health"], security: [] } }, async () =>
    describe(),
  );

  const { metrics } = context;
  if (metrics === undefined) return;
  server.get(
    "/metrics",
    {
      schema: { summary: "Metrics for Prometheus", tags: ["health"] },
      onRequest: async (request) => void (await context.gate.admit(request.headers.authorization, "deliveries:read")),
    },
    async (_request, reply) => {
      reply.type("text/plain; version=0.0.4; charset=utf-8");
      return metrics();
    },
  );
}
