/** What the programs of pretend readers call themselves, and where they are: as real ones do (model/visitor-agents.ts, visitor-networks.ts). */

/** Browsers and mail programs of people. */
export const BROWSERS = [
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:152.0) Gecko/20100101 Firefox/152.0",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Safari/605.1.15",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.1 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Mobile Safari/537.36",
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0",
  "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.4.0",
  "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 10.0; WOW64; Trident/7.0; Microsoft Outlook 16.0.19029; ms-office; MSOffice 16)",
] as const;

export const GMAIL_PROXY = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)";
export const YAHOO_PROXY = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html";
/** Apple's proxies say this and nothing more. */
export const APPLE_PROXY = "Mozilla/5.0";
export const SECURITY_PRODUCT = "Mozilla/5.0 (compatible; Barracuda Sentinel; EE)";

export const GOOGLE = "66.249.93.0";
export const YAHOO = "87.248.114.0";
export const APPLE = "17.58.98.0";

/** Somewhere at a carrier's: a network of /24 for nearly each `n`, none of them a data centre's (RFC 6598 §7). */
export function household(n: number): string {
  return `100.${64 + (n % 64)}.${(n >>> 6) % 256}.${1 + ((n >>> 14) % 250)}`;
}
