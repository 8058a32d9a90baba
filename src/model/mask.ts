/**
 * Masks over host and domain names: `*` stands for any characters, `?` for one. Letter case does not count. A match takes at most the
 * product of both lengths, whatever stands in mask or name: names come from the DNS of strangers.
 */

/** Whether a name matches. */
export type Mask = (name: string) => boolean;

/** Longest mask: no name is longer (RFC 1035 §2.3.4). */
const MOST = 255;

/** What is wrong with a mask over host names, '' when nothing is. */
export function maskProblem(text: string): string {
  if (text === "") return "is empty";
  if (text.length > MOST) return `is longer than ${MOST} characters`;
  if (text !== text.trim()) return "begins or ends with a blank";
  if (/[^\p{ASCII}]/u.test(text)) return "is written with the names of the DNS: in ASCII, xn--…";
  const wrong = /[^a-z0-9._:*?-]/i.exec(text);
  if (wrong !== null) return `holds ${JSON.stringify(wrong[0])}, which is in no name of a host`;
  if (text.endsWith(".")) return "ends with a dot; names are written without it";
  return "";
}

export function compileMask(text: string): Mask {
  const mask = simple(text.toLowerCase());
  if (mask === "*") return () => true;
  const rest = mask.slice(1);
  // Nearly every mask is a name, or `*.` and the end of one.
  if (!/[*?]/.test(rest)) {
    if (mask.startsWith("*")) return (name) => name.toLowerCase().endsWith(rest);
    if (!mask.startsWith("?")) return (name) => name.toLowerCase() === mask;
  }
  return (name) => matches(mask, name.toLowerCase());
}

/** One of several; none of none. */
export function compileMasks(texts: readonly string[]): Mask {
  const masks = texts.map(compileMask);
  const [only] = masks;
  if (only !== undefined && masks.length === 1) return only;
  return (name) => masks.some((mask) => mask(name));
}

/** Whether `wide` surely matches every name that `narrow` matches. */
export function maskCovers(wide: string, narrow: string): boolean {
  return matches(simple(wide.toLowerCase()), simple(narrow.toLowerCase()));
}

/** Wildcards side by side in one order: first each `?`, then one `*`. */
function simple(mask: string): string {
  return mask.replace(/[*?]{2,}/g, (run) => {
    const single = run.replaceAll("*", "");
    return single.length === run.length ? run : `${single}*`;
  });
}

/**
 * Each part between two `*` is taken where it first fits, so only the last `*` is ever tried again. A `*` in the name (another mask, for
 * `maskCovers`) stands for any characters and is taken by a `*` only; a `?` by `?` or `*`.
 */
function matches(mask: string, name: string): boolean {
  let m = 0;
  let n = 0;
  let star = -1;
  let taken = 0;
  while (n < name.length) {
    const char = mask[m];
    if (char === "*") {
      star = m++;
      taken = n;
    } else if (char === "?" ? name[n] !== "*" : char === name[n]) {
      m++;
      n++;
    } else if (star >= 0) {
      m = star + 1;
      n = ++taken;
    } else {
      return false;
    }
  }
  while (mask[m] === "*") m++;
  return m === mask.length;
}
