/**
 * Masks over names of hosts and domains, and over other text: `*` stands for any characters, none too, `?` for one; both ends are
 * anchored, letter case does not count. A match takes at most the product of both lengths, whatever stands in mask or text: names come
 * from the DNS of strangers, and replies from their servers.
 */

/** Whether a text matches. */
export type Mask = (text: string) => boolean;

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
  return (name) => matches(mask, name.toLowerCase(), false);
}

/** One of several; none of none. */
export function compileMasks(texts: readonly string[]): Mask {
  const masks = texts.map(compileMask);
  const [only] = masks;
  if (only !== undefined && masks.length === 1) return only;
  return (name) => masks.some((mask) => mask(name));
}

export type PathTest = (site: string, mx: string, publicId: number) => boolean;

/**
 * Whether a measure is for a path. Its place is a site's name or a mask over exchanger names, '' for all, and a public id, null for all;
 * `exact`: a name and no mask.
 */
export function pathTest(of: {
  readonly site: string;
  readonly publicId: number | null;
  readonly exact?: boolean;
}): PathTest {
  const wanted = of.site.toLowerCase();
  const mask = of.exact === true ? (): boolean => false : compileMask(wanted);
  const here = (site: string, mx: string): boolean => wanted === "" || site.toLowerCase() === wanted || mask(mx);
  return (site, mx, publicId) => (of.publicId === null || of.publicId === publicId) && here(site, mx);
}

/** Whether `wide` surely matches every name that `narrow` matches. */
export function maskCovers(wide: string, narrow: string): boolean {
  return matches(simple(wide.toLowerCase()), simple(narrow.toLowerCase()), true);
}

/** Wildcards side by side in one order: first each `?`, then one `*`. */
function simple(mask: string): string {
  return mask.replace(/[*?]{2,}/g, (run) => {
    const single = run.replaceAll("*", "");
    return single.length === run.length ? run : `${single}*`;
  });
}

/**
 * Each part between two `*` is taken where it first fits, so only the last `*` is ever tried again. `overMask`: the text is a mask itself,
 * and its `*` stands for any characters, so that nothing but a `*` takes it.
 */
function matches(mask: string, text: string, overMask: boolean): boolean {
  let m = 0;
  let t = 0;
  let star = -1;
  let taken = 0;
  while (t < text.length) {
    const char = mask[m];
    if (char === "*") {
      star = m++;
      taken = t;
    } else if (char === "?" ? !overMask || text[t] !== "*" : char === text[t]) {
      m++;
      t++;
    } else if (star >= 0) {
      m = star + 1;
      t = ++taken;
    } else {
      return false;
    }
  }
  while (mask[m] === "*") m++;
  return m === mask.length;
}
