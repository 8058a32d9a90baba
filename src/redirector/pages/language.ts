/** The reader's language among those there are: Accept-Language as browsers send it (RFC 9110 §12.5.4), by weight, `de-AT` served with `de`. */

/** Of the header; what browsers send is shorter. */
const MOST = 500;

/** The first of `known` when none of them is wanted. */
export function languageOf<L extends string>(header: string | undefined, known: readonly L[]): L {
  let best = known[0] as L;
  let weight = 0;
  for (const item of (header ?? "").slice(0, MOST).split(",")) {
    const [range = "", ...parameters] = item
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/);
    const found = known.find((language) => range === language || range.startsWith(`${language}-`));
    if (found === undefined) continue;
    const q = parameters.find((parameter) => parameter.startsWith("q="));
    const value = q === undefined ? 1 : Number(q.slice(2));
    // Of two that weigh the same, the one that was named first.
    if (value > weight && value <= 1) [best, weight] = [found, value];
  }
  return best;
}
