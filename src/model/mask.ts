/**
 * Masks with * (any characters, none too) and ? (one character), anchored at both ends, letter case not counted. Matched without regular
 * expressions: the work is at most mask × text steps, whatever the mask or the text is, so masks may come from files and texts from remote
 * servers.
 */

/** A test for the mask; for many texts. */
export function compileMask(mask: string): (text: string) => boolean {
  const folded = mask.toLowerCase();
  if (folded === "*") return () => true;
  if (!/[*?]/.test(folded)) return (text) => text.toLowerCase() === folded;
  const tail = folded.slice(1);
  // `*.google.com`, by far the most usual form.
  if (folded.startsWith("*") && !/[*?]/.test(tail)) return (text) => text.toLowerCase().endsWith(tail);
  return (text) => matches(folded, text.toLowerCase());
}

/** True when one of the masks matches. */
export function compileMasks(masks: readonly string[]): (text: string) => boolean {
  const tests = masks.map(compileMask);
  return (text) => tests.some((test) => test(text));
}

/** Greedy with one point to go back to, the last star: what lies before an earlier star never needs another try. */
function matches(mask: string, text: string): boolean {
  let m = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (m < mask.length && mask[m] === "*") {
      star = m++;
      resume = t;
    } else if (m < mask.length && (mask[m] === "?" || mask[m] === text[t])) {
      m++;
      t++;
    } else if (star >= 0) {
      m = star + 1;
      t = ++resume;
    } else return false;
  }
  while (mask[m] === "*") m++;
  return m === mask.length;
}
