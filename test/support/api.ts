/**
 * The HTTP API for tests: built on a test database, called with `inject` or, after `listen`, over a real socket. Content is checked and
 * previewed by the real renderer unless a test hands in its own.
 */
import { afterAll } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { silentLog, type Log } from "../../src/base/log.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { SCOPES, createToken, type Scope } from "../../src/db/tokens.ts";
import { buildApi } from "../../src/web/api.ts";
import type { ApiDeps } from "../../src/web/context.ts";
import { openRenderer } from "../../src/web/renderer.ts";
import { openTestDatabase, type TestDatabase } from "./database.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  /** Parsed JSON, or text. */
  // oxlint-disable-next-line no-explicit-any -- what a test asserts on
  readonly body: Record<string, any>;
  readonly text: string;
}

export interface CallOptions {
  readonly headers?: Record<string, string>;
  /** null: none. */
  readonly token?: string | null;
}

export interface TestApi {
  readonly db: TestDatabase;
  /** All scopes. */
  readonly token: string;
  readonly server: Awaited<ReturnType<typeof buildApi>>;
  call(method: string, url: string, body?: unknown, options?: CallOptions): Promise<Answer>;
  get(url: string): Promise<Answer>;
  post(url: string, body?: unknown): Promise<Answer>;
  /** Makes a delivery; its id. */
  delivery(more?: object): Promise<number>;
  upload(id: number, lines: string | Buffer, type?: string, headers?: Record<string, string>): Promise<Answer>;
  makeToken(scopes: readonly Scope[]): Promise<string>;
  /** Listens on loopback; the base address. */
  listen(): Promise<string>;
}

/** A content that is in order. */
export const CONTENT = { subject: "Hello {{first}}", html: "<p>Hello {{first}}</p>", text: "Hello {{first}}" };

/** A fault of ours in a test is shown; a test that provokes one hands in `silentLog`. */
const loud: Log = {
  ...silentLog,
  error: (fields, text) => console.error(text, fields),
};

/** Opens an API of its own for a test file; closed with it. */
export async function openTestApi(
  settings: object = {},
  deps: Partial<ApiDeps> = {},
  log: Log = loud,
): Promise<TestApi> {
  const db = await openTestDatabase();
  const { token } = await createToken(db.sql, "test", SCOPES);
  const server = await buildApi({
    settings: parseSettings({ returnPathDomain: "bounces.example.com", ...settings }),
    sql: db.sql,
    log,
    clock: systemClock,
    // This process does more than the API, and on a machine with other things to do it is late.
    load: { scarce: () => "", enter() {}, leave() {}, close() {} },
    version: "test",
    ...openRenderer(systemClock),
    ...deps,
  });
  afterAll(async () => {
    await server.close();
    await db.close();
  });

  async function call(method: string, url: string, body?: unknown, options: CallOptions = {}): Promise<Answer> {
    const bearer = options.token === undefined ? token : options.token;
    const raw = typeof body === "string" || Buffer.isBuffer(body);
    const response = await server.inject({
      method: method as "GET",
      url,
      headers: {
        ...(bearer === null ? {} : { authorization: `Bearer ${bearer}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...options.headers,
      },
      ...(body === undefined ? {} : { payload: raw ? (body as string) : JSON.stringify(body) }),
    });
    const json = /[/+]json\b/.test(String(response.headers["content-type"] ?? ""));
    return {
      status: response.statusCode,
      headers: response.headers as Record<string, string>,
      body: json ? JSON.parse(response.body) : {},
      text: response.body,
    };
  }

  return {
    db,
    token,
    server,
    call,
    get: (url) => call("GET", url),
    post: (url, body) => call("POST", url, body),
    async delivery(more = {}) {
      const made = await call("POST", "/v1/deliveries", { content: CONTENT, from: "News <news@example.com>", ...more });
      if (made.status !== 201) throw new Error(`no delivery: ${made.text}`);
      return made.body["id"] as number;
    },
    upload: (id, lines, type = "application/x-ndjson", headers = {}) =>
      call("PUT", `/v1/deliveries/${id}/recipients`, lines, { headers: { "content-type": type, ...headers } }),
    makeToken: async (scopes) => (await createToken(db.sql, "other", scopes)).token,
    listen: () => server.listen({ host: "127.0.0.1", port: 0 }),
  };
}
