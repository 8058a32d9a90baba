/** The settings of an operator whose Internet is this machine: its name server, its port 25, the demo's sender. */
import { join } from "node:path";
import { SENDER } from "./appliance.ts";

/** The demo's own rule. */
export const RULE = { id: "two-at-once", mx: "mx.limit.example", connections: 2 } as const;

/** `folder` holds the key `startAppliance` writes; `dns` is `address:port` of the name server; the redirection server gets `redirectorPort`. */
export function settingsFor(
  folder: string,
  dns: string,
  smtpPort: number,
  redirectorPort: number,
): Record<string, unknown> {
  return {
    machine: "demo",
    web: { port: 0 },
    mta: {
      helo: SENDER.helo,
      smtp: {
        port: smtpPort,
        privateAddresses: true,
        connectMs: 5000,
        bannerMs: 20_000,
        ehloMs: 20_000,
        dotMs: 60_000,
      },
      dns: { servers: [dns], prefer: "ipv4-only", timeoutMs: 2000 },
    },
    stat: {
      // What an operator writes who knows that this exchanger takes two connections at once; stat keeps all sessions to it.
      rules: [{ id: RULE.id, mx: RULE.mx, scope: "ip", connections: RULE.connections }],
    },
    dkim: [{ domain: SENDER.domain, selector: SENDER.selector, keyFile: join(folder, "dkim.pem") }],
    returnPathDomain: "bounces.sender.example",
    // Another Postilion of this machine may have the usual port. Readers say where they are, as a proxy in front would.
    tracking: { url: `http://127.0.0.1:${redirectorPort}` },
    // The last hit of all is nobody's.
    redirector: { port: redirectorPort, trustedProxies: ["127.0.0.1"], strayVisits: true },
  };
}
