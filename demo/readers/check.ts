/**
 * What readers made, held against what was counted: hit by hit, people and machines apart, and then the sums, and who is suppressed. Pure: it is given
 * both accounts and returns every disagreement as a sentence.
 */
import type { Counted, Sums } from "./counted.ts";
import type { Made, MadeHit } from "./made.ts";

export interface Both {
  readonly made: number;
  readonly counted: number;
}

export interface ReadersJudgement {
  readonly clicks: Both;
  readonly byPeople: Both;
  readonly byMachines: Both;
  readonly opens: Both;
  readonly mirrors: Both;
  /** Addresses that unsubscribed, and those of them that get no mail any more. */
  readonly unsubscribed: number;
  readonly suppressed: number;
  readonly tampered: number;
  readonly complaints: readonly string[];
}

export interface ReadersAccounts {
  readonly made: Made;
  readonly counted: Counted;
  /** Message ids by address. */
  readonly ids: ReadonlyMap<string, number>;
  /** Addresses that were suppressed before. */
  readonly before: ReadonlySet<string>;
}

export function judgeReaders(accounts: ReadersAccounts): ReadersJudgement {
  const { made, counted, before } = accounts;
  const { all, people } = counted;
  const complaints = [...summed(made.wrong), ...hitsOff(accounts)];
  const counting = made.hits.filter(({ counts }) => counts);
  const number = (kind: MadeHit["kind"], who?: MadeHit["who"]): number =>
    counting.filter((hit) => hit.kind === kind && (who === undefined || hit.who === who)).length;
  const both = (what: string, made: number, counted: number): Both => {
    if (made !== counted) complaints.push(`${made} ${what} made, ${counted} counted`);
    return { made, counted };
  };
  const clicked = (of: Sums): number => of.totalRecipientClick;
  const judgement = {
    clicks: both("clicks", number("clicked"), clicked(all)),
    byPeople: both("clicks by people", number("clicked", "people"), clicked(people)),
    byMachines: both("clicks by machines", number("clicked", "machines"), clicked(all) - clicked(people)),
    opens: both("opens", number("opened"), all.totalRecipientOpen),
    mirrors: both("mirror pages", number("mirror"), all.mirrorPage),
  };
  both("opens by people", number("opened", "people"), people.totalRecipientOpen);
  both("mirror pages by people", number("mirror", "people"), people.mirrorPage);
  both("unsubscriptions", number("unsubscribed"), all.optOut);
  const missing = [...made.unsubscribed].filter((address) => !counted.suppressed.has(address));
  const surplus = [...counted.suppressed].filter((address) => !before.has(address) && !made.unsubscribed.has(address));
  complaints.push(
    ...summed(missing.map((address) => `unsubscribed and not suppressed: ${address}`)),
    ...summed(surplus.map((address) => `suppressed and never unsubscribed: ${address}`)),
  );
  return {
    ...judgement,
    unsubscribed: made.unsubscribed.size,
    suppressed: made.unsubscribed.size - missing.length,
    tampered: made.tampered,
    complaints,
  };
}

/** Hits made and not written down, written down and not made, written down twice. */
function hitsOff({ made, counted, ids }: ReadersAccounts): string[] {
  const balance = new Map<string, number>();
  const add = (key: string, by: number): void => void balance.set(key, (balance.get(key) ?? 0) + by);
  for (const { to, kind, link, who, counts } of made.hits)
    add(`${ids.get(to) ?? to} ${kind} ${link} by ${who}${counts ? "" : ", in no sum"}`, 1);
  for (const { messageId, type, link, class: made, uncounted } of counted.hits) {
    const who = made === "person" || made === "proxy" ? "people" : "machines";
    add(`${messageId} ${type} ${link ?? 0} by ${who}${uncounted === "" ? "" : ", in no sum"}`, -1);
  }
  const off = [...balance].filter(([, n]) => n !== 0);
  const told = (text: string, some: typeof off): string[] =>
    some.length === 0 ? [] : [`${some.reduce((sum, [, n]) => sum + Math.abs(n), 0)} ${text} (message ${some[0]![0]})`];
  return [
    ...told(
      "hits were made and are not on record",
      off.filter(([, n]) => n > 0),
    ),
    ...told(
      "hits are on record and were not made",
      off.filter(([, n]) => n < 0),
    ),
  ];
}

const MOST = 5;

function summed(sentences: readonly string[]): string[] {
  const rest = sentences.length - MOST;
  return rest > 0 ? [...sentences.slice(0, MOST), `and ${rest} more of the kind`] : [...sentences];
}
