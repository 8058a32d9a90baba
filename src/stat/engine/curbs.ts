/**
 * Tells members what measures leave them should the server go away: everything to who joins, then what has changed, whenever the governor
 * says that something did and with each stored snapshot (an hour of a warm-up is used up without anybody saying so).
 */
import { pieces } from "../../quota/fit.ts";
import type { Curb } from "../../quota/messages.ts";
import type { Governor } from "../contract.ts";
import type { Member } from "./books.ts";

export interface CurbsTold {
  all(member: Pick<Member, "send">): void;
  changes(members: Iterable<Pick<Member, "send">>, now: number): void;
}

export function openCurbsTold(governor: Pick<Governor, "curbs">): CurbsTold {
  const told = new Map<string, { readonly curb: Curb; readonly text: string }>();
  return {
    all({ send }) {
      const [first = [], ...rest] = pieces([...told.values()].map(({ curb }) => curb));
      send({ t: "curbs", all: true, curbs: first, over: [] });
      for (const curbs of rest) send({ t: "curbs", all: false, curbs, over: [] });
    },
    changes(members, now) {
      const curbs = governor.curbs(now);
      const ids = new Set(curbs.map(({ id }) => id));
      const over = [...told.keys()].filter((id) => !ids.has(id));
      for (const id of over) told.delete(id);
      const changed: Curb[] = [];
      for (const curb of curbs) {
        const text = JSON.stringify(curb);
        if (told.get(curb.id)?.text === text) continue;
        told.set(curb.id, { curb, text });
        changed.push(curb);
      }
      const lines = [
        ...pieces(over).map((some) => ({ t: "curbs", all: false, curbs: [], over: some }) as const),
        ...pieces(changed).map((some) => ({ t: "curbs", all: false, curbs: some, over: [] }) as const),
      ];
      for (const { send } of members) for (const line of lines) send(line);
    },
  };
}
