/** What a person may suspend: the name of a site, or a mask over exchanger names. */
import { maskProblem } from "./mask.ts";

/** What is wrong with it, '' when nothing is. A site's name is its exchangers' names joined by commas, without wildcards. */
export function siteProblem(text: string): string {
  const names = text.split(",");
  if (names.length > 1 && /[*?]/.test(text)) return "is either one mask or the whole name of a site, without * and ?";
  for (const name of names) {
    const problem = maskProblem(name);
    if (problem !== "") return problem;
  }
  return "";
}
