/**
 * The HTTP server as plumbing, and the only importer of fastify. It knows bodies, errors and limits, nothing of mail: every error leaves as
 * a problem document, JSON is parsed strictly (bad UTF-8 is refused, not repaired), and what is to be streamed reaches the handler as a stream.
 * Building is not listening: `inject()` calls a built server without a socket.
 */
import { isUtf8 } from "node:buffer";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { Problem, problemBody } from "./problem.ts";

export type Server = FastifyInstance;
export type Request = FastifyRequest;
export type Reply = FastifyReply;

export interface ServerOptions {
  readonly bodyLimitBytes: number;
  /** Content types whose body is handed to the handler as a stream, of any length. */
  readonly streamed: readonly string[];
  /** Makes a problem of what a handler threw; null: it is a bug. */
  explain(error: unknown): Problem | null;
  /** Told once of every error that is nobody's request's fault. */
  report(error: unknown, request: { id: string; method: string; url: string }): void;
}

/** A socket on which nothing moves for so long is closed; event streams send a heartbeat more often. */
const IDLE_MS = 120_000;

export function openServer(options: ServerOptions): Server {
  const server = fastify({
    logger: false,
    bodyLimit: options.bodyLimitBytes,
    connectionTimeout: IDLE_MS,
    // An upload may take hours; a peer that sends nothing is caught by IDLE_MS.
    requestTimeout: 0,
    keepAliveTimeout: 30_000,
    exposeHeadRoutes: false,
    // A site is the names of up to 20 exchangers, an address up to 320 octets; the default of 100 would answer 404 to both.
    routerOptions: { maxParamLength: 4_000 },
    forceCloseConnections: "idle",
    return503OnClosing: false,
    frameworkErrors: (error, _request, reply) => refuse(reply as FastifyReply, fromFramework(error)!),
  });
  // Answers are what JSON.stringify makes of them; requests are checked by their own schemas (web/route.ts).
  server.setSerializerCompiler(() => (data) => JSON.stringify(data));
  server.setValidatorCompiler(() => () => true);
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
  for (const type of options.streamed) {
    server.addContentTypeParser(type, (_request, payload, done) => done(null, payload));
  }
  server.setNotFoundHandler((request, reply) => {
    refuse(reply, new Problem(404, `there is no ${request.method} ${request.url.split("?", 1)[0]}`));
  });
  server.setErrorHandler((error, request, reply) => {
    const problem = error instanceof Problem ? error : (fromFramework(error) ?? options.explain(error));
    if (problem === null || problem.status >= 500) {
      options.report(error, { id: request.id, method: request.method, url: request.url });
    }
    refuse(reply, problem ?? new Problem(500, `this is a fault of ours; it is in the log as request ${request.id}`));
  });
  return server;
}

function refuse(reply: FastifyReply, problem: Problem): void {
  if (problem.extras.retryAfter !== undefined) {
    reply.header("retry-after", String(Math.max(1, Math.ceil(problem.extras.retryAfter))));
  }
  if (problem.status === 401) reply.header("www-authenticate", "Bearer");
  // A string, not an object: this must work whatever serialiser a route has.
  reply
    .code(problem.status)
    .type("application/problem+json")
    .send(JSON.stringify(problemBody(problem)));
}

/** What fastify itself refuses: too long, not JSON, unknown content type, bad URL. */
function fromFramework(error: unknown): Problem | null {
  const { code, statusCode, message } = error as { code?: string; statusCode?: number; message?: string };
  if (code === undefined || !code.startsWith("FST_") || statusCode === undefined || statusCode >= 500) return null;
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") return new Problem(413, "the body is longer than web.bodyLimitBytes");
  return new Problem(statusCode, message ?? "");
}

function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw new Problem(400, "the body is not valid UTF-8");
  const text = body.toString("utf8");
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Problem(400, `the body is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}
