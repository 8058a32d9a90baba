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

interface Told {
  curb: Curb;
  text: string;
  /** The look that saw it last. */
  look: number;
}

export function openCurbsTold(governor: Pick<Governor, "curbs">): CurbsTold {
  const told = new Map<string, Told>();
  let look = 0;

  /** Of thousands few have changed, and most are the same objects as before: a look must be cheap. */
  function changed(curbs: readonly Curb[]): Curb[] {
    const some: Curb[] = [];
    look++;
    for (const curb of curbs) {
      const known = told.get(curb.id);
      if (known === undefined) told.set(curb.id, { curb, text: JSON.stringify(curb), look });
      else {
        known.look = look;
        if (known.curb === curb) continue;
        const text = JSON.stringify(curb);
        const same = known.text === text;
        Object.assign(known, { curb, text });
        if (same) continue;
      }
      some.push(curb);
    }
    return some;
  }

  function over(): string[] {
    const ids: string[] = [];
    for (const [id, one] of told)
      if (one.look !== look) {
        ids.push(id);
        told.delete(id);
      }
    return ids;
  }

  return {
    all({ send }) {
      const [first = [], ...rest] = pieces([...told.values()].map(({ curb }) => curb));
      send({ t: "curbs", all: true, curbs: first, over: [] });
      for (const curbs of rest) send({ t: "curbs", all: false, curbs, over: [] });
    },
    changes(members, now) {
      const begun = pieces(changed(governor.curbs(now)));
      const ended = pieces(over());
      if (begun.length + ended.length === 0) return;
      for (const { send } of members) {
        for (const ids of ended) send({ t: "curbs", all: false, curbs: [], over: ids });
        for (const curbs of begun) send({ t: "curbs", all: false, curbs, over: [] });
      }
    },
  };
}
