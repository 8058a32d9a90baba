/**
 * A site's name with the TLS policy that lanes to it obey: `a.example,b.example#dane`. Lanes, and so pooled connections, differ by mark; quotas,
 * suspensions and what people see go by the plain site. Exchanger names have neither '#' nor ','.
 */

/** @param mark '' or a word such as `sts`. */
export function markSite(site: string, mark: string): string {
  return mark === "" ? site : `${site}#${mark}`;
}

/** The site without its mark. */
export function plainSite(site: string): string {
  const at = site.indexOf("#");
  return at < 0 ? site : site.slice(0, at);
}
