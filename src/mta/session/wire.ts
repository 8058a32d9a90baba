/**
 * One connection to a mail server as replies in and commands out; `greet` and `flow` decide what to say on it.
 *
 * Out: what is sent in one turn of the event loop leaves in one write (cork + writev, the body is not copied). At most 64 KB go
 * to the socket at a time and the next block waits until it is taken, so memory stays with the message and a peer that takes nothing for
 * `blockMs` is noticed. A mark sent along is set when everything before it has been given to the socket: from then on it may have arrived.
 *
 * In: each reply goes to the listener at once. Nonsense, the end of the stream, an error of the socket and a stalled write all end the
 * wire: `lost` is called, once, and never after `destroy()`.
 */
import type { Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import type { Clock } from "../../base/clock.ts";
import { openReplyParser, type Reply } from "../../smtp/reply.ts";
import { openTranscript, type Transcript } from "../../smtp/transcript.ts";
import { openDeadline } from "./deadline.ts";
import { openOutbox, type Mark } from "./outbox.ts";
import { socketError } from "./socket-error.ts";

export interface Listener {
  /** Id of the message that the next reply is about, 0 for none: whose transcript it belongs to. Absent: none. */
  of?(): number;
  reply(reply: Reply): void;
  /** All replies of one packet were told. */
  turn(): void;
  /** Something was given to the socket; marks may have changed. */
  handed(): void;
  /** The time set by `expect` has passed. The wire is still open. */
  late(): void;
  lost(text: string): void;
}

export interface Wire {
  readonly transcript: Transcript;
  /** `TLSv1.3 TLS_AES_256_GCM_SHA384`, '' in the clear. */
  readonly tls: string;
  /** '' while the wire is open, then why it is not. */
  readonly ended: string;
  /** Bytes wait that are not a whole reply. */
  readonly unread: boolean;
  /** Resolves when the socket is closed. */
  readonly closed: Promise<void>;
  /** Who is told from now on; told of a loss at once when the wire is already lost. null: nobody, and a reply ends the wire. */
  listen(listener: Listener | null): void;
  /** Commands go into the transcript as given, or as `shown`. `of`: id of the message they are said for, 0 for none. */
  command(text: string, of: number, shown?: string): void;
  body(bytes: Uint8Array, of: number): void;
  mark(mark: Mark): void;
  /** `late()` is called `ms` from now, instead of any earlier time set; 0: never. */
  expect(ms: number): void;
  /**
   * Goes over to TLS. Resolves to '' or why not; the wire is then lost. Set `expect` before. `judge` sees the handshake's end before anything is
   * said or kept: a text it returns loses the wire.
   */
  secure(options: ConnectionOptions, hooks: SecureHooks): Promise<Secured>;
  /** Ends the wire and tells the listener why. */
  lose(why: string): void;
  /** Ends the wire and tells nobody. */
  destroy(): void;
}

export interface SecureHooks {
  judge(socket: TLSSocket): string;
  /** A session to resume, of a connection that passed. */
  keep(session: Buffer): void;
}

export interface Secured {
  /** '' or why there is no TLS. */
  readonly why: string;
  /** Of the error, such as `CERT_HAS_EXPIRED`; '' when there is none or it has none. */
  readonly code: string;
}

/** Takes over a connected socket. */
export function openWire(first: Socket, clock: Clock, blockMs: number): Wire {
  const transcript = openTranscript();
  const parser = openReplyParser();
  const deadline = openDeadline(clock, timeUp);
  let socket = first;
  let listener: Listener | null = null;
  let ended = "";
  let tls = "";
  let errorCode = "";
  const outbox = openOutbox();
  let scheduled = false;
  /** The socket has enough: nothing more until it drains. */
  let full = false;
  /** Writes given to the socket, and those the system took from it. */
  let given = 0;
  let taken = 0;
  /** When the listener's wait and the wait for the socket to take bytes end (monotonic). */
  let lateAt = Infinity;
  let stalledAt = Infinity;

  let close: () => void;
  const closed = new Promise<void>((resolve) => (close = resolve));

  function attach(next: Socket): void {
    socket = next;
    socket.on("data", onData);
    socket.on("drain", onDrain);
    socket.on("end", onEnd);
    socket.on("error", onError);
    socket.on("close", onClose);
  }
  function detach(): void {
    socket.off("data", onData);
    socket.off("drain", onDrain);
    socket.off("end", onEnd);
    socket.off("error", onError);
    socket.off("close", onClose);
    socket.on("error", () => {}); // the TLS socket on top reports it
    socket.pause();
  }
  const onEnd = (): void => lose("the server closed the connection");
  const onError = (error: NodeJS.ErrnoException): void => {
    errorCode ||= error.code ?? "";
    lose(socketError(error));
  };
  const onClose = (): void => {
    lose("the connection was closed");
    close();
  };

  function onData(chunk: Buffer): void {
    const wrong = parser.push(chunk, onReply);
    if (ended !== "") return;
    if (wrong !== "") return lose(wrong);
    listener?.turn();
  }
  function onReply(reply: Reply): boolean {
    transcript.received(reply, listener?.of?.() ?? 0);
    if (listener === null) lose(`a reply to nothing: ${reply.code}`);
    else listener.reply(reply);
    return ended === "";
  }

  function schedule(): void {
    if (scheduled || full || ended !== "") return;
    scheduled = true;
    queueMicrotask(flush);
  }
  function flush(): void {
    scheduled = false;
    while (!outbox.empty && !full && ended === "") {
      given++;
      outbox.writeBlock(socket, onTaken);
      full = socket.writableNeedDrain;
      if (stalledAt === Infinity && socket.writableLength > 0) {
        stalledAt = clock.monotonic() + blockMs;
        deadline.set(Math.min(lateAt, stalledAt));
      }
      listener?.handed();
    }
  }
  /** A write was taken by the system: the next one has `blockMs` of its own. */
  function onTaken(): void {
    taken++;
    if (stalledAt !== Infinity) stalledAt = taken === given ? Infinity : clock.monotonic() + blockMs;
  }
  function onDrain(): void {
    full = false;
    flush();
  }

  function timeUp(): void {
    const now = clock.monotonic();
    if (now >= stalledAt) return lose(`the server took no data for ${blockMs / 1000} s`);
    if (now >= lateAt) {
      lateAt = Infinity;
      listener?.late();
    }
    if (ended === "") deadline.set(Math.min(lateAt, stalledAt));
  }

  function lose(why: string): void {
    if (ended !== "") return;
    end(why);
    listener?.lost(why);
  }
  function end(why: string): void {
    if (ended !== "") return;
    ended = why;
    outbox.clear();
    deadline.close();
    socket.destroy();
  }

  attach(first);
  return {
    transcript,
    get tls() {
      return tls;
    },
    get ended() {
      return ended;
    },
    get unread() {
      return parser.unread;
    },
    closed,
    listen(next) {
      listener = next;
      if (ended !== "") listener?.lost(ended);
    },
    command(text, of, shown = text) {
      transcript.sent(shown, of);
      outbox.add(text);
      schedule();
    },
    body(bytes, of) {
      transcript.body(bytes.length, of);
      outbox.add(bytes);
      schedule();
    },
    mark: outbox.add,
    expect(ms) {
      lateAt = ms === 0 ? Infinity : clock.monotonic() + ms;
      deadline.set(Math.min(lateAt, stalledAt));
    },
    secure(options, { judge, keep }) {
      return new Promise((resolve) => {
        const failed = (why: string): void => resolve({ why, code: errorCode });
        if (ended !== "") return failed(ended);
        detach();
        const raw = socket;
        // Made before listening: the handshake fails through the same `lost` as everything else.
        const upgraded: TLSSocket = connectTls({ ...options, socket: raw });
        attach(upgraded);
        listener = {
          reply() {},
          turn() {},
          handed() {},
          late: () => lose("no end of the TLS handshake"),
          lost: failed,
        };
        upgraded.once("secureConnect", () => {
          if (ended !== "") return;
          const wrong = judge(upgraded);
          if (wrong !== "") return lose(wrong);
          // Node tells sessions of the handshake itself after this event.
          upgraded.on("session", keep);
          const cipher = upgraded.getCipher();
          tls = `${upgraded.getProtocol() ?? "TLS"} ${cipher.standardName}`;
          listener = null;
          resolve({ why: "", code: "" });
        });
      });
    },
    lose,
    destroy: () => end("closed"),
  };
}
