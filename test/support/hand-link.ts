/** A link for the quota client that a test turns by hand: it comes up, says what a test wants said, and is lost. Nothing passes by itself. */
import type { Link, LinkEvents, Welcome } from "../../src/quota/link-contract.ts";
import type { ClientMessage, ServerMessage } from "../../src/quota/messages.ts";

export interface HandLink extends Link {
  /** What the client told while it was up. */
  readonly heard: ClientMessage[];
  comeUp(welcome: Pick<Welcome, "now" | "horizonMs" | "silenceMs">): void;
  say(message: ServerMessage): void;
  lose(): void;
}

export function handLink(): HandLink {
  let events: LinkEvents | null = null;
  let up = false;
  const heard: ClientMessage[] = [];
  return {
    heard,
    open: (told) => void (events = told),
    send(message) {
      if (up) heard.push(message);
    },
    cut() {},
    close: () => void (up = false),
    comeUp(welcome) {
      events?.held();
      up = true;
      events?.up({ t: "welcome", proof: "", members: 1, ...welcome });
    },
    say: (message) => events?.message(message),
    lose() {
      up = false;
      events?.down("lost");
    },
  };
}
