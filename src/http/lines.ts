/**
 * Lines of a stream of bytes, in memory that does not grow with the stream. Whole blocks are decoded at once (one line at a time would
 * cost more than parsing it); a block that is not valid UTF-8 is decoded line by line, so that only the bad lines are lost. A line that
 * is too long is dropped while it passes and reported by its number.
 */
import { isUtf8 } from "node:buffer";

/** Why a line cannot be had. */
export type LineFault = "too-long" | "not-utf-8";

export interface LineSink {
  /** A line without its line feed and without a carriage return before it. `number` counts from 1. */
  line(text: string, number: number): void;
  fault(fault: LineFault, number: number): void;
}

export interface Lines {
  /** Takes a chunk; calls the sink for each line that is complete. */
  push(chunk: Buffer): void;
  /** The stream is over: the last line may lack its line feed. */
  end(): void;
}

const LF = 10;

export function openLines(mostBytes: number, sink: LineSink): Lines {
  let held: Buffer[] = [];
  let heldBytes = 0;
  /** The line at hand is too long: its bytes are dropped until the next line feed. */
  let dropping = false;
  let number = 1;

  function hold(chunk: Buffer): void {
    if (dropping || chunk.length === 0) return;
    held.push(chunk);
    heldBytes += chunk.length;
    if (heldBytes > mostBytes) {
      dropping = true;
      held = [];
      heldBytes = 0;
    }
  }

  /** The end of the line that was held back from earlier chunks. */
  function finishHeld(rest: Buffer): void {
    hold(rest);
    if (dropping) sink.fault("too-long", number);
    else deliver(Buffer.concat(held));
    number++;
    dropping = false;
    held = [];
    heldBytes = 0;
  }

  function deliver(bytes: Buffer): void {
    if (!isUtf8(bytes)) return sink.fault("not-utf-8", number);
    let text = bytes.toString("utf8");
    if (text.endsWith("\r")) text = text.slice(0, -1);
    sink.line(text, number);
  }

  /** `block` ends with a line feed and begins at the start of a line. */
  function block(bytes: Buffer): void {
    if (!isUtf8(bytes) || bytes.length > mostBytes) {
      let start = 0;
      for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
        if (end - start > mostBytes) sink.fault("too-long", number);
        else deliver(bytes.subarray(start, end));
        number++;
        start = end + 1;
      }
      return;
    }
    const text = bytes.toString("utf8");
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      sink.line(text.slice(start, text.charCodeAt(end - 1) === 13 && end > start ? end - 1 : end), number);
      number++;
      start = end + 1;
    }
  }

  return {
    push(chunk) {
      const first = heldBytes > 0 || dropping ? chunk.indexOf(LF) : -1;
      if ((heldBytes > 0 || dropping) && first < 0) return hold(chunk);
      const start = first + 1;
      if (heldBytes > 0 || dropping) finishHeld(chunk.subarray(0, first));
      const last = chunk.lastIndexOf(LF);
      if (last >= start) block(chunk.subarray(start, last + 1));
      hold(chunk.subarray(Math.max(last + 1, start)));
    },
    end() {
      if (heldBytes > 0 || dropping) finishHeld(Buffer.alloc(0));
    },
  };
}
