/**
 * The body of an upload as chunks: unpacked when it came as gzip, with what it may unpack to bounded. Whoever stops reading in the middle
 * leaves the request open, so that it can still be answered.
 */
import type { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import { Problem } from "./problem.ts";

/** gzip cannot do better than 1:1032; recipient lists reach 1:30, lists of a test 1:100. */
const MOST_EXPANSION = 250;
/** Below this nothing is said of the ratio. */
const FREE_BYTES = 64 * 1024 * 1024;
/** How long a client that was refused may go on sending until it reads the answer. */
const LINGER_MS = 5_000;

/** Chunks of the body in order. Throws Problem 415, 400 and 413; the source's own error when the client goes away. */
export async function* openBody(source: Readable, encoding: string | undefined): AsyncGenerator<Buffer> {
  const coding = (encoding ?? "identity").trim().toLowerCase();
  try {
    if (coding === "identity" || coding === "") {
      yield* source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    } else if (coding === "gzip" || coding === "x-gzip") {
      yield* unpack(source);
    } else {
      throw new Problem(415, "Content-Encoding may be gzip or absent");
    }
  } finally {
    if (!source.readableEnded) linger(source);
  }
}

async function* unpack(source: Readable): AsyncGenerator<Buffer> {
  let packed = 0;
  let unpacked = 0;
  const gunzip = createGunzip({ chunkSize: 64 * 1024 });
  // Not pipeline(): it would destroy the request, and with it the answer.
  const broken = (error?: Error): void => {
    if (!source.readableEnded) gunzip.destroy(error ?? new Error("the client went away"));
  };
  const count = (chunk: Buffer): void => void (packed += chunk.length);
  source.on("data", count).on("error", broken).on("close", broken);
  source.pipe(gunzip);
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      unpacked += chunk.length;
      if (unpacked > FREE_BYTES && unpacked > packed * MOST_EXPANSION) {
        throw new Problem(413, `the gzip body unpacks to more than ${MOST_EXPANSION} times its size`);
      }
      yield chunk;
    }
  } catch (error) {
    const code = (error as { code?: string }).code ?? "";
    if (code.startsWith("Z_")) throw new Problem(400, "the body is not valid gzip");
    throw error;
  } finally {
    source.unpipe(gunzip);
    source.off("data", count).off("error", broken).off("close", broken);
    gunzip.destroy();
  }
}

/** Reads on for nobody, for a while: a client that is still sending would otherwise see a reset instead of the answer. */
function linger(source: Readable): void {
  source.on("error", () => source.destroy());
  source.resume();
  setTimeout(() => source.destroy(), LINGER_MS).unref();
}
