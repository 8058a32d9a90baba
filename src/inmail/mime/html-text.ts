/**
 * HTML as lines of text, for what programs write about a failure in HTML alone. One pass; nothing is loaded or run. Blocks, rows and breaks end a line,
 * cells are parted by a blank. No tree: a mail of a million tags costs its length.
 */

const LINES = /^\/?(?:p|div|br|tr|table|li|ul|ol|h[1-6]|hr|blockquote|pre|center|title|body|html)\b/i;
const HIDDEN = /^(script|style|head|title)\b/i;
const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: " ",
  "#39": "'",
  rsquo: "’",
  lsquo: "‘",
  ldquo: "“",
  rdquo: "”",
  eacute: "é",
  egrave: "è",
  agrave: "à",
  ecirc: "ê",
  ccedil: "ç",
  uuml: "ü",
  ouml: "ö",
  auml: "ä",
  szlig: "ß",
};

export function htmlText(html: string): string {
  let text = "";
  let from = 0;
  while (from < html.length) {
    const open = html.indexOf("<", from);
    if (open < 0) {
      text += html.slice(from);
      break;
    }
    text += html.slice(from, open).replace(/\s+/g, " ");
    // An address in angle brackets that nobody escaped is no tag.
    const address = /^<[^\s<>@]{1,64}@[^\s<>@]{1,255}>/.exec(html.slice(open, open + 330));
    if (address !== null) {
      text += address[0];
      from = open + address[0].length;
      continue;
    }
    const end = html.startsWith("<!--", open) ? html.indexOf("-->", open) + 2 : html.indexOf(">", open);
    const close = end <= open ? html.length : end;
    const tag = html.slice(open + 1, Math.min(close, open + 40));
    text += LINES.test(tag) ? "\n" : /^\/?t[dh]\b/i.test(tag) ? " " : "";
    from = close + 1;
    const hidden = HIDDEN.exec(tag)?.[1];
    if (hidden !== undefined) from = behindElement(html, hidden, from);
  }
  return unescape(text)
    .replace(/[ \t\u00a0]+/g, " ")
    .replace(/ ?\n ?/g, "\n")
    .replace(/\n{3,}/g, "\n\n");
}

function behindElement(html: string, name: string, from: number): number {
  const rest = html.slice(from);
  const at = rest.search(name.toLowerCase() === "head" ? /<\/head|<body/i : new RegExp(`</${name}`, "i"));
  return at < 0 ? html.length : from + at;
}

function unescape(text: string): string {
  return text.replace(/&(#?\w{1,8});/g, (whole, name: string) => {
    const known = ENTITIES[name.toLowerCase()];
    if (known !== undefined) return known;
    const code = /^#x/i.test(name)
      ? Number.parseInt(name.slice(2), 16)
      : /^#\d/.test(name)
        ? Number(name.slice(1))
        : Number.NaN;
    return code > 0 && code < 0x11_0000 ? String.fromCodePoint(code) : whole;
  });
}
