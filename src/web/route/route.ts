/** One resource method of the API: what it takes, who may call it, what it answers. Adding it to a server also puts it into the OpenAPI document. */
import type { z } from "zod";
import type { ApiToken, Scope } from "../../db/tokens.ts";
import type { Load } from "../../http/load.ts";
import { Problem } from "../../http/problem.ts";
import type { Reply, Request, Server } from "../../http/server.ts";
import { checkInput, describeInput } from "./check.ts";
import type { Gate } from "./gate.ts";

export const SERVERS = "redirection servers";

export interface Call<B, Q, P> {
  readonly body: B;
  readonly query: Q;
  readonly params: P;
  readonly token: ApiToken;
  readonly request: Request;
  readonly reply: Reply;
}

export interface Route<B extends z.ZodType, Q extends z.ZodType, P extends z.ZodType> {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** `:name` stands for a parameter. */
  readonly url: string;
  /** What a token must allow; `SERVERS`: it is for redirection servers, and no token opens it. */
  readonly scope: Scope | typeof SERVERS;
  /** One line for the document. */
  readonly summary: string;
  readonly body?: B;
  readonly query?: Q;
  readonly params?: P;
  /** Content types of a streamed body. */
  readonly takes?: readonly string[];
  /** Stays open for long (uploads, event streams): bounded elsewhere, not counted as a request at work. */
  readonly long?: boolean;
  /** Answers with what it returns, 200 unless the reply says otherwise; undefined when it has answered itself. */
  handle(call: Call<z.output<B>, z.output<Q>, z.output<P>>): Promise<unknown>;
}

export interface RouteContext {
  readonly server: Server;
  readonly gate: Gate;
  readonly load: Load;
}

export function addRoute<B extends z.ZodType, Q extends z.ZodType, P extends z.ZodType>(
  { server, gate, load }: RouteContext,
  route: Route<B, Q, P>,
): void {
  const callers = new WeakMap<Request, ApiToken>();
  server.route({
    method: route.method,
    url: route.url,
    schema: documentation(route),
    // Before the body is read: a stranger's 32 MB are not parsed.
    onRequest: async (request) => {
      const scarce = route.long === true ? "" : load.scarce();
      if (scarce !== "") throw new Problem(503, `overloaded: ${scarce}`, { retryAfter: 2 });
      const { authorization } = request.headers;
      const caller =
        route.scope === SERVERS ? gate.admitServer(authorization) : await gate.admit(authorization, route.scope);
      callers.set(request, caller);
    },
    handler: async (request, reply) => {
      const none = undefined as z.output<B> & z.output<Q> & z.output<P>;
      const call = {
        params: route.params === undefined ? none : checkInput(route.params, request.params, "path"),
        query: route.query === undefined ? none : checkInput(route.query, request.query, "query"),
        body: route.body === undefined ? none : checkInput(route.body, request.body ?? {}, "body"),
        token: callers.get(request)!,
        request,
        reply,
      };
      if (route.long === true) return route.handle(call);
      load.enter();
      try {
        return await route.handle(call);
      } finally {
        load.leave();
      }
    },
  });
}

function documentation(route: Route<z.ZodType, z.ZodType, z.ZodType>): object {
  return {
    summary: route.summary,
    description: route.scope === SERVERS ? "Scope: none; redirection servers only" : `Scope: ${route.scope}`,
    tags: [route.url.split("/")[2] ?? ""],
    ...(route.body === undefined ? {} : { body: describeInput(route.body) }),
    ...(route.query === undefined ? {} : { querystring: describeInput(route.query) }),
    ...(route.params === undefined ? {} : { params: describeInput(route.params) }),
    ...(route.takes === undefined ? {} : { consumes: route.takes }),
    response: {
      "2xx": { description: "Done", type: "object", additionalProperties: true },
      default: {
        description: "application/problem+json (RFC 9457): type, title, status, detail, errors",
        type: "object",
        additionalProperties: true,
      },
    },
  };
}
