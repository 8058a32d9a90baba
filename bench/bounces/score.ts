/**
 * How well mails and reply lines were understood, against labels: detected, recipients, categories and types, false positives. A label may accept
 * others beside itself; figures called lenient count those. A recipient is compared without letter case, and each result is used for one label.
 */
import type { Label, LabelledMail, LabelledReply } from "./labelled.ts";

export interface PredictedMail {
  readonly file: string;
  readonly results: readonly { readonly recipient: string | null; readonly type: string; readonly category: string }[];
}

export interface Counts {
  bounces: number;
  negatives: number;
  falsePositives: number;
  detected: number;
  rows: number;
  /** Labels that name a recipient, and those whose recipient was found. */
  named: number;
  found: number;
  category: number;
  categoryLenient: number;
  type: number;
  typeLenient: number;
}

/** `soft/refused` labelled, `hard/user_unknown` said: how often. */
export type Confusion = Map<string, number>;

export interface MailScore {
  readonly all: Counts;
  readonly corpora: ReadonlyMap<string, Counts>;
  readonly confusion: Confusion;
}

export function scoreMails(
  labels: readonly LabelledMail[],
  predicted: ReadonlyMap<string, PredictedMail["results"]>,
): MailScore {
  const all = noCounts();
  const corpora = new Map<string, Counts>();
  const confusion: Confusion = new Map();
  for (const mail of labels) {
    const corpus = mail.file.split("/")[0] ?? "";
    const own = corpora.get(corpus) ?? noCounts();
    corpora.set(corpus, own);
    const results = predicted.get(mail.file) ?? [];
    for (const counts of [all, own]) countMail(counts, mail, results, counts === all ? confusion : new Map());
  }
  return { all, corpora, confusion };
}

function countMail(counts: Counts, mail: LabelledMail, results: PredictedMail["results"], confusion: Confusion): void {
  if (mail.notBounce) {
    counts.negatives++;
    if (results.some(({ type }) => type !== "none")) counts.falsePositives++;
    return;
  }
  counts.bounces++;
  if (results.length > 0) counts.detected++;
  const used = new Set<number>();
  for (const label of mail.expected) {
    const named = (label.recipientAccept ?? []).filter((each) => each !== "").map((each) => each.toLowerCase());
    const found = results.findIndex(({ recipient }, i) => !used.has(i) && named.includes(bare(recipient)));
    counts.rows++;
    if (named.length > 0) counts.named++;
    if (named.length > 0 && found >= 0) counts.found++;
    const alone = results.length > 0 && (mail.expected.length === 1 || results.length === 1);
    const chosen = found >= 0 ? found : alone ? 0 : -1;
    if (found >= 0) used.add(found);
    const result = results[chosen];
    const said = result === undefined ? "nothing" : `${result.type}/${result.category}`;
    if (result !== undefined) countLabel(counts, label, result);
    const key = `${label.type}/${label.category} → ${said}`;
    if (result === undefined || !isRight(label, result)) confusion.set(key, (confusion.get(key) ?? 0) + 1);
  }
}

const bare = (recipient: string | null): string => (recipient ?? "").toLowerCase().replace(/^[<>]+|[<>]+$/g, "");

function countLabel(counts: Counts, label: Label, said: { readonly type: string; readonly category: string }): void {
  const accepted = [label, ...(label.accept ?? [])];
  if (said.category === label.category) counts.category++;
  if (accepted.some(({ category }) => category === said.category)) counts.categoryLenient++;
  if (said.type === label.type) counts.type++;
  if (accepted.some(({ type }) => type === said.type)) counts.typeLenient++;
}

function isRight(label: Label, said: { readonly type: string; readonly category: string }): boolean {
  const accepted = [label, ...(label.accept ?? [])];
  return accepted.some(({ category }) => category === said.category) && accepted.some(({ type }) => type === said.type);
}

export function scoreReplies(
  labels: readonly LabelledReply[],
  predicted: ReadonlyMap<string, { readonly type: string; readonly category: string }>,
): { readonly counts: Counts; readonly confusion: Confusion } {
  const counts = noCounts();
  const confusion: Confusion = new Map();
  for (const label of labels) {
    counts.rows++;
    const said = predicted.get(label.id);
    if (said === undefined) continue;
    countLabel(counts, label, said);
    const key = `${label.type}/${label.category} → ${said.type}/${said.category}`;
    if (!isRight(label, said)) confusion.set(key, (confusion.get(key) ?? 0) + 1);
  }
  return { counts, confusion };
}

function noCounts(): Counts {
  return {
    bounces: 0,
    negatives: 0,
    falsePositives: 0,
    detected: 0,
    rows: 0,
    named: 0,
    found: 0,
    category: 0,
    categoryLenient: 0,
    type: 0,
    typeLenient: 0,
  };
}

/** Per cent with one decimal, null of nothing; a half goes to the even one, as Python rounds. */
export function percent(part: number, whole: number): number | null {
  if (whole === 0) return null;
  const value = (100 * part) / whole;
  const tenths = value * 10;
  const half = tenths - Math.floor(tenths) === 0.5;
  return half ? (Math.floor(tenths) + (Math.floor(tenths) % 2)) / 10 : Number(value.toFixed(1));
}

export function mailFigures(c: Counts): Record<string, number | null> {
  return {
    detected: percent(c.detected, c.bounces),
    falsePositives: c.falsePositives,
    negatives: c.negatives,
    recipient: percent(c.found, c.named),
    ...labelFigures(c),
  };
}

export function replyFigures(c: Counts): Record<string, number | null> {
  return { lines: c.rows, ...labelFigures(c) };
}

function labelFigures(c: Counts): Record<string, number | null> {
  return {
    category: percent(c.category, c.rows),
    categoryLenient: percent(c.categoryLenient, c.rows),
    type: percent(c.type, c.rows),
    typeLenient: percent(c.typeLenient, c.rows),
  };
}
