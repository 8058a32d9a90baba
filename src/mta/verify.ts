/** verifyMode: a session that takes every message and sends nothing, so that all but the wire can be run (spec modules.md §4.4 verifyMode). */
import { outcome } from "../model/outcome.ts";
import type { Session, SessionEvents, SessionTarget } from "./session-contract.ts";

const ROOM = 20;

export function openVerifySession(target: SessionTarget, events: SessionEvents): Session {
  let settled = 0;
  let ended = false;
  return {
    target,
    get room() {
      return ended ? 0 : ROOM;
    },
    inFlight: 0,
    get settled() {
      return settled;
    },
    get ended() {
      return ended;
    },
    submit() {
      settled++;
      return Promise.resolve(
        outcome("accepted", "local", {
          text: "verify mode: not sent",
          mx: target.mx,
          remoteIp: target.ip,
          publicId: target.publicId,
        }),
      );
    },
    quit() {
      ended = true;
      setImmediate(events.change);
      return Promise.resolve();
    },
    destroy() {
      ended = true;
      setImmediate(events.change);
    },
  };
}
