/**
 * The appliance's HTTP API as a client of it sees it: a few calls over fetch, each with a time limit, each error with what the server
 * said (RFC 9457 problem). It knows nothing of the appliance but its address, a token and the words of /v1.
 */
export interface Api {
  /** JSON in, JSON out. Throws ApiError for an answer that is not 2xx. */
  call<T>(method: string, path: string, body?: unknown): Promise<T>;
  /** A page of NDJSON that goes on behind a cursor (`x-next-cursor`). */
  lines<T>(path: string): Promise<{ readonly lines: readonly T[]; readonly next: number }>;
  /** Streams lines as NDJSON. */
  upload<T>(path: string, lines: Iterable<string>): Promise<T>;
  /** Server-sent events (`data` parsed as JSON) until the server ends the stream or the signal aborts. */
  events(path: string, signal: AbortSignal): AsyncGenerator<{ readonly event: string; readonly data: unknown }>;
}

export class ApiError extends Error {
  readonly status: number;
  constructor(what: string, status: number, text: string) {
    super(`${what} was answered ${status}: ${text}`);
    this.name = "ApiError";
    this.status = status;
  }
}

const CALL_MS = 30_000;
const UPLOAD_MS = 600_000;

export function openApi(base: string, token: string): Api {
  const headers = { authorization: `Bearer ${token}` };

  async function request(method: string, path: string, init: RequestInit, ms: number): Promise<Response> {
    const what = `${method} ${path}`;
    let response: Response;
    try {
      const signal = init.signal ?? AbortSignal.timeout(ms);
      response = await fetch(`${base}${path}`, { ...init, method, signal, headers: { ...headers, ...init.headers } });
    } catch (cause) {
      throw new Error(`${what} got no answer: ${reasonOf(cause)}`, { cause });
    }
    if (!response.ok) throw new ApiError(what, response.status, problem(await response.text()));
    return response;
  }

  return {
    async call<T>(method: string, path: string, body?: unknown): Promise<T> {
      const json = { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
      const response = await request(method, path, body === undefined ? {} : json, CALL_MS);
      const text = await response.text();
      return JSON.parse(text === "" ? "null" : text) as T;
    },
    async lines<T>(path: string) {
      const response = await request("GET", path, {}, CALL_MS);
      const lines = (await response.text()).split("\n").filter((line) => line !== "");
      const next = Number(response.headers.get("x-next-cursor") ?? "");
      return { lines: lines.map((line) => JSON.parse(line) as T), next };
    },
    async upload<T>(path: string, lines: Iterable<string>): Promise<T> {
      // `duplex` is what fetch wants of a body that is produced while it is sent.
      const init = { body: stream(lines), duplex: "half", headers: { "content-type": "application/x-ndjson" } };
      return (await (await request("PUT", path, init as RequestInit, UPLOAD_MS)).json()) as T;
    },
    async *events(path, signal) {
      const response = await request("GET", path, { signal, headers: { accept: "text/event-stream" } }, CALL_MS);
      if (response.body === null) return;
      let held = "";
      for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
        held += text;
        const blocks = held.split(/\r?\n\r?\n/);
        held = blocks.pop() ?? "";
        for (const block of blocks) {
          const parsed = parseEvent(block);
          if (parsed !== null) yield parsed;
        }
      }
    },
  };
}

/** Blocks of 64 KB: a chunk for each line would cost more than the line. */
function stream(lines: Iterable<string>): ReadableStream<Uint8Array> {
  const iterator = lines[Symbol.iterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    pull(controller) {
      let block = "";
      while (block.length < 65_536) {
        const next = iterator.next();
        if (next.done === true) {
          if (block !== "") controller.enqueue(encoder.encode(block));
          return controller.close();
        }
        block += `${next.value}\n`;
      }
      controller.enqueue(encoder.encode(block));
    },
  });
}

/** null for a comment (the server's keep-alive). */
function parseEvent(block: string): { event: string; data: unknown } | null {
  let event = "message";
  let data = "";
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) event = line.slice(6).trim();
    if (line.startsWith("data:")) data += line.slice(5).trim();
  }
  return data === "" ? null : { event, data: JSON.parse(data) };
}

function problem(text: string): string {
  try {
    const { title, detail } = JSON.parse(text) as { title?: string; detail?: string };
    return [title, detail].filter(Boolean).join(": ");
  } catch {
    return text.slice(0, 300);
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}
