/** What a server said, as people know it from mail: `451 4.7.1 Try again later`. Its text begins with the enhanced code already, as a rule (RFC 2034 §4). */

/** `nothing`: instead of a code when there was no reply. Hostile as the text is. */
export function said(
  { code, enhanced, text }: { readonly code: number; readonly enhanced: string; readonly text: string },
  nothing = "",
): string {
  const repeated = enhanced === "" || text === enhanced || text.startsWith(`${enhanced} `);
  return [code > 0 ? String(code) : nothing, repeated ? "" : enhanced, text].filter((part) => part !== "").join(" ");
}
