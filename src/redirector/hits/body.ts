/** The body of a POST that says little: read as far as a bound and a time, and done with what is there then. */
import type { IncomingMessage } from "node:http";
import type { Clock } from "../../base/clock.ts";

export interface Body {
  readonly text: string;
  /** False: there was more, or it did not come in time; the connection cannot be used again. */
  readonly whole: boolean;
}

const MOST_BODY = 16_384;
/** A gateway that posts 26 octets has them sent by then. */
const BODY_MS = 3_000;

/** null: the client went away before it had said all. */
export function readBody(request: IncomingMessage, clock: Clock): Promise<Body | null> {
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    let bytes = 0;
    const timer = clock.after(BODY_MS, () => finish(false));
    const finish = (whole: boolean): void => {
      stop();
      resolve({ text: Buffer.concat(parts).toString("latin1"), whole });
    };
    const onData = (part: Buffer): void => {
      const room = MOST_BODY - bytes;
      parts.push(part.length > room ? part.subarray(0, room) : part);
      bytes += part.length;
      if (bytes > MOST_BODY) finish(false);
    };
    const onEnd = (): void => finish(true);
    const onClose = (): void => {
      stop();
      resolve(null);
    };
    const stop = (): void => {
      timer.cancel();
      request.off("data", onData).off("end", onEnd).off("close", onClose);
    };
    request.on("data", onData).once("end", onEnd).once("close", onClose);
    // A broken connection says so by closing.
    request.on("error", () => {});
  });
}
