/** The known name somebody probably meant, and the only importer of fastest-levenshtein. Settings, API fields and commands ask here. */
import { closest, distance } from "fastest-levenshtein";

/** The candidate nearest to `word`, '' when none is near enough to be worth suggesting. Letter case does not count. */
export function nearest(word: string, candidates: readonly string[]): string {
  if (candidates.length === 0 || word.length > 200) return "";
  const folded = candidates.map((candidate) => candidate.toLowerCase());
  const best = closest(word.toLowerCase(), folded);
  // Up to two typing mistakes, more in long names: beyond that a suggestion is noise.
  const near = distance(word.toLowerCase(), best) <= Math.max(2, Math.floor(word.length / 3));
  return near ? (candidates[folded.indexOf(best)] ?? "") : "";
}
