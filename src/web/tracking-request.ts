/**
 * What a request says of tracking, with the settings behind it: a delivery that says nothing is tracked as the settings say, a single message is
 * not. Tracking without a redirection server is refused: its links would lead nowhere.
 */
import type { TrackingSettings } from "../config/tracking-settings.ts";
import type { Tracking } from "../model/delivery.ts";
import type { NewDeliveryRequest } from "./requests.ts";

/** null: the content is not tracked, and knows no addresses of ours. `single`: it is of single messages. */
export function readTracking(
  asked: NewDeliveryRequest["tracking"],
  { url, domains, clicks, opens }: Pick<TrackingSettings, "url" | "domains" | "clicks" | "opens">,
  single: boolean,
  wrong: (path: string, message: string) => void,
): Tracking | null {
  if (asked === false || (asked === undefined && (single || url === ""))) return null;
  if (url === "") {
    wrong("tracking", "there is no redirection server: tracking.url is not set in the settings");
    return null;
  }
  const own: Partial<Extract<typeof asked, object>> = typeof asked === "object" ? asked : {};
  const base = own.url?.replace(/\/+$/, "") ?? url;
  if (base !== url && !domains.includes(base)) {
    wrong("tracking.url", "is neither tracking.url of the settings nor one of tracking.domains");
  }
  return {
    url: base,
    clicks: own.clicks ?? (asked === true || clicks),
    opens: own.opens ?? (asked === true || opens),
    textLinks: own.textLinks ?? false,
    urlLabels: own.urlLabels ?? false,
    anonymous: own.anonymous ?? false,
    trap: own.trap ?? false,
    single,
  };
}
