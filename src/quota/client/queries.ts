/** Questions to the statistics server and their answers. Each ends: answered, refused, or after ten seconds. */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Link } from "../link-contract.ts";
import type { QueryName } from "../messages.ts";

export interface Queries {
  ask(what: QueryName, args: Readonly<Record<string, unknown>>): Promise<unknown>;
  answer(id: number, data: unknown): void;
  /** The link is gone. */
  fail(): void;
}

const ANSWER_MS = 10_000;

export function openQueries(clock: Clock, link: Link): Queries {
  const open = new Map<number, { resolve: (data: unknown) => void; reject: (error: Error) => void; timer: Timer }>();
  let ids = 0;

  function end(id: number): { resolve: (data: unknown) => void; reject: (error: Error) => void } | undefined {
    const query = open.get(id);
    query?.timer.cancel();
    open.delete(id);
    return query;
  }

  return {
    ask(what, args) {
      const id = ++ids;
      return new Promise((resolve, reject) => {
        const late = (): void =>
          end(id)?.reject(new Error(`the statistics server did not answer within ${ANSWER_MS / 1000} s`));
        open.set(id, { resolve, reject, timer: clock.after(ANSWER_MS, late) });
        link.send({ t: "query", id, what, args });
      });
    },
    answer: (id, data) => end(id)?.resolve(data),
    fail() {
      for (const id of open.keys()) end(id)?.reject(new Error("the statistics server is gone"));
    },
  };
}
