/** What the statistics server has counted, asked for through the API. */
import { sleep } from "../src/base/clock.ts";
import type { Api } from "./api.ts";
import type { StatSeen } from "./table.ts";

interface SitesAnswer {
  readonly sites: readonly { readonly site: string; readonly hour: { readonly attempts: number } }[];
}

/** Reports come every second: it is asked again until all that was sent is counted, or ten seconds have passed. */
const PATIENCE_MS = 10_000;

export async function askStat(api: Api, sent: number): Promise<StatSeen> {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const { sites } = await api.call<SitesAnswer>("GET", "/v1/sites?limit=200");
    const attempts = sites.reduce((sum, { hour }) => sum + hour.attempts, 0);
    if (attempts >= sent || Date.now() > until) return { sites: sites.length, attempts };
    await sleep(500);
  }
}
