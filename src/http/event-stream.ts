/**
 * Server-sent events (WHATWG HTML §9.2): a bounded number of streams, each with a heartbeat so that proxies and we notice a dead peer.
 * A reader that does not keep up is let go instead of being buffered for.
 */
import type { Reply } from "./server.ts";

export interface EventStream {
  /** One event; `data` is sent as JSON. */
  send(event: string, data: unknown): void;
  /** Aborts when the client is gone or the stream was ended. */
  readonly signal: AbortSignal;
  end(): void;
}

export interface EventStreams {
  /** null: all places are taken. */
  open(reply: Reply): EventStream | null;
  /** Ends all of them. */
  close(): void;
}

const HEARTBEAT_MS = 15_000;
/** What a slow reader may have waiting before it is let go. */
const MOST_WAITING = 256 * 1024;

export function openEventStreams(most: number): EventStreams {
  const open = new Set<EventStream>();
  return {
    open(reply) {
      if (open.size >= most) return null;
      reply.hijack();
      const out = reply.raw;
      const ended = new AbortController();
      out.writeHead(200, {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        // nginx would collect the stream otherwise.
        "x-accel-buffering": "no",
      });
      const write = (text: string): void => {
        if (ended.signal.aborted) return;
        out.write(text);
        if (out.writableLength > MOST_WAITING) out.destroy();
      };
      const beat = setInterval(() => write(": still here\n\n"), HEARTBEAT_MS);
      beat.unref();
      const stream: EventStream = {
        send: (event, data) => write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
        signal: ended.signal,
        end() {
          ended.abort();
          out.end();
        },
      };
      open.add(stream);
      out.on("error", () => out.destroy());
      out.on("close", () => {
        clearInterval(beat);
        ended.abort();
        open.delete(stream);
      });
      return stream;
    },
    close() {
      for (const stream of open) stream.end();
    },
  };
}
