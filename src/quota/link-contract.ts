/**
 * The link of a quota client to the statistics server: a line of messages that comes and goes. Over TCP it is src/quota/link.ts, in the
 * simulation a queue with delays. The link greets (challenge, hello, welcome) and finds a server; what is said afterwards is the client's.
 */
import type { ClientMessage, HeldConnection, ServerMessage } from "./messages.ts";

export type Welcome = Extract<ServerMessage, { t: "welcome" }>;

/** What a link tells. In order, and never from within a call of the link: `held`, then `up`, `message` …, `down`; or `held`, then `down`. */
export interface LinkEvents {
  /**
   * Asked right before each hello: what goes into it. From here to `up` or `down` the client takes nothing by its share, so that what it
   * tells is true when it is heard; a greeting must therefore have a time-out (a few seconds).
   */
  held(): { readonly process: string; readonly unsure?: boolean; readonly held: readonly HeldConnection[] };
  up(welcome: Welcome): void;
  /** Every message after welcome: `leave` and `error` too. */
  message(message: ServerMessage): void;
  /** The link, or the attempt at one, is over. It tries again by itself. Why, for a person. */
  down(why: string): void;
}

export interface Link {
  /** Once: begins to connect. */
  open(events: LinkEvents): void;
  /** Dropped when the link is not up. Messages arrive in order or the link goes down. */
  send(message: ClientMessage): void;
  /** Cuts a link on which nothing is heard any more; it connects again. `down` follows. */
  cut(why: string): void;
  close(): void;
}
