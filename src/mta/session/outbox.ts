/**
 * What waits to be written: texts, bodies, and marks between them. It leaves in blocks of about 64 KB, each in one write (cork + writev:
 * bodies are not copied; measured equal to one copied buffer at 13 KB and cheaper above).
 */
import type { Writable } from "node:stream";

export interface Mark {
  /** Everything added before this mark was given to the socket: from now on it may have arrived. */
  handed: boolean;
}

export interface Outbox {
  readonly empty: boolean;
  add(item: string | Uint8Array | Mark): void;
  /** Writes the next block and sets its marks; `taken` is called when the system has it, or at once when there was only a mark. */
  writeBlock(socket: Writable, taken: () => void): void;
  clear(): void;
}

/** What goes to the socket before it must say that it took it: the default buffer of a socket. */
const BLOCK = 64 * 1024;

export function openOutbox(): Outbox {
  let items: (string | Uint8Array | Mark)[] = [];

  /** The pieces of the next block; neighbouring texts become one. Returns how many items they use up. */
  function gather(pieces: (string | Uint8Array)[]): number {
    let text = "";
    let size = 0;
    let at = 0;
    for (; at < items.length && size < BLOCK; at++) {
      const item = items[at]!;
      if (typeof item === "string") {
        text += item;
        size += item.length;
      } else if (item instanceof Uint8Array) {
        if (text !== "") pieces.push(text);
        text = "";
        if (item.length > BLOCK) {
          pieces.push(item.subarray(0, BLOCK));
          items[at] = item.subarray(BLOCK);
          break;
        }
        pieces.push(item);
        size += item.length;
      }
    }
    if (text !== "") pieces.push(text);
    // A mark belongs to the bytes before it: left for the next block, a dot that has gone would count as unsent.
    while (isMark(items[at])) at++;
    return at;
  }

  return {
    get empty() {
      return items.length === 0;
    },
    add: (item) => void items.push(item),
    writeBlock(socket, taken) {
      const pieces: (string | Uint8Array)[] = [];
      const used = gather(pieces);
      const last = pieces.length - 1;
      if (last > 0) socket.cork();
      for (let i = 0; i < last; i++) socket.write(pieces[i]!);
      if (last >= 0) socket.write(pieces[last]!, taken);
      else taken();
      if (last > 0) socket.uncork();
      // Only now: a mark says that the bytes before it are with the socket.
      for (let i = 0; i < used; i++) {
        const item = items[i];
        if (isMark(item)) item.handed = true;
      }
      items = used === items.length ? [] : items.slice(used);
    },
    clear() {
      items = [];
    },
  };
}

function isMark(item: string | Uint8Array | Mark | undefined): item is Mark {
  return typeof item === "object" && "handed" in item;
}
