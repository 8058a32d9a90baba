/** What the tests of `postilion stat explain` share: names in a DNS server, a file of rules, and the question. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import type { Ask } from "../../src/cli/stat-ask.ts";
import { type ExplainChoice, explain } from "../../src/cli/stat-explain.ts";
import type { Explained } from "../../src/cli/stat-explained.ts";
import { loadMxRules } from "../../src/config/mx-rules-file.ts";
import { type Settings, parseSettings } from "../../src/config/settings.ts";
import { openResolver } from "../../src/mta/resolver.ts";
import { type DnsServer, openDnsServer } from "../support/dns-server.ts";

export let folder = "";
export let dns: DnsServer;

/** Once in each file that uses what is here. */
export function explainHere(): void {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "postilion-explain-"));
    dns = await openDnsServer({
      "shop.example": {
        MX: [
          [10, "mx1.shop.example"],
          [20, "mx2.other.example"],
        ],
      },
      "mx1.shop.example": { A: ["192.0.2.1", "192.0.2.2"] },
      "mx2.other.example": { A: ["192.0.2.9"] },
      "gone.example": { rcode: "SERVFAIL" },
      "plain.example": { A: ["192.0.2.77"] },
      "mute.example": { silent: true },
      "null.example": { MX: [[0, "."]] },
      "half.example": {
        MX: [
          [10, "mx1.shop.example"],
          [20, "gone.example"],
        ],
      },
      "wide.example": { MX: Array.from({ length: 20 }, (_, i) => [i, `mx${i + 10}.wide.example`] as const) },
      ...Object.fromEntries(
        Array.from({ length: 20 }, (_, i) => [
          `mx${i + 10}.wide.example`,
          { A: [`198.51.100.${i}`, `203.0.113.${i}`] },
        ]),
      ),
    });
  });
  afterAll(async () => {
    await dns.close();
    rmSync(folder, { recursive: true });
  });
}

const RULES = `
rules:
  - id: shop
    mx: "*.shop.example"
    scope: path
    connections: 3
    messagesPerHour: 1200
    note: Agreed with their postmaster
  - id: shop-new
    mx: "*.other.example"
    publicIds: 2
    connections: 1
  - id: wide
    mx: "*.wide.example"
    scope: ip
`;
export const nobody: Ask = async () => ({ why: "nobody is there" });
/** There is nothing to ask about. */
export const never: Ask = async () => {
  throw new Error("asked");
};
export const DNS = (): object => ({ servers: [`127.0.0.1:${dns.port}`], timeoutMs: 1000, tries: 2 });

export function settingsOf(more: object = {}): Settings {
  const rulesFile = join(folder, "mx.yaml");
  writeFileSync(rulesFile, RULES);
  return parseSettings({
    dataDir: folder,
    stat: { rulesFile },
    mta: { dns: DNS(), ...more },
  });
}

export async function explained(
  target: string,
  more: object = {},
  choice: Partial<ExplainChoice> = {},
  ask = nobody,
): Promise<Explained> {
  const settings = settingsOf(more);
  const { rules } = loadMxRules(settings);
  return explain(
    target,
    { publicId: null, exchanger: false, ...choice },
    { settings, rules, resolver: openResolver(settings.mta.dns, systemClock), ask },
  );
}

export const AFFINITIES = {
  affinities: [
    { name: "news", ips: [{ publicId: 2 }, { publicId: 1 }] },
    { name: "far", ips: [{ publicId: 5, includeDomains: ["elsewhere.example"] }] },
  ],
};
