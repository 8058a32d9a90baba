/**
 * Where the links of a letter must lead, from the template and the recipient's variables alone: worked out here a second time, without anything of
 * what makes the mail, for a check that believes its own renderer checks nothing.
 */
import { linksOf } from "./letter.ts";

export interface Lead {
  /** Number of the link in the delivery. */
  readonly number: number;
  /** Where it leads. */
  readonly url: string;
}

/** The links of a template in order, for one recipient; mirror page and unsubscribing are left out. Only plain `{{name}}` is understood. */
export function leadsOf(html: string, variables: Readonly<Record<string, string | number>>): Lead[] {
  return linksOf(html).links.flatMap((written, i) => {
    if (/^\{\{(mirror|unsubscribe)Url\}\}$/.test(written)) return [];
    const url = written.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => String(variables[name] ?? ""));
    // As a browser would ask for it: what is not ASCII, and spaces, percent-encoded.
    return [{ number: i + 1, url: new URL(url).href }];
  });
}
