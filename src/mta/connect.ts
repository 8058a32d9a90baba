/**
 * A session for a lane: exchangers by preference (shuffled inside equal ones, RFC 5321 §5.1), each of their addresses in turn, until one
 * gives a session. An address that failed is left alone for a while, 4 s doubling to 5 min, unless all others fail too; so a
 * dead exchanger costs its time-out once, not once a session.
 */
import type { Clock } from "../base/clock.ts";
import type { MtaSettings } from "../config/settings.ts";
import { type Outcome, outcome } from "../model/outcome.ts";
import type { LaneKey, LaneLimits } from "../model/traffic.ts";
import type { Resolver } from "./resolver.ts";
import type { Session, SessionEvents, SessionTarget } from "./session-contract.ts";
import type { LanePath } from "./sites.ts";

const REST_MS = 4000;
const REST_MOST_MS = 300_000;
const REMEMBERED = 20_000;

export interface ConnectDeps {
  readonly clock: Clock;
  readonly settings: MtaSettings;
  readonly helo: string;
  readonly resolver: Resolver;
  path(key: LaneKey): LanePath | undefined;
  limits(key: LaneKey): LaneLimits;
  open(target: SessionTarget, events: SessionEvents): Promise<Session | Outcome>;
  permit: SessionEvents["permit"];
}

export type Connect = (key: LaneKey, events: { change(): void }, signal: AbortSignal) => Promise<Session | Outcome>;

export function openConnect(deps: ConnectDeps): Connect {
  const { clock, settings, resolver } = deps;
  const resting = new Map<string, { until: number; failures: number }>();

  function rest(ip: string): void {
    const before = resting.get(ip)?.failures ?? 0;
    if (resting.size >= REMEMBERED) resting.clear();
    resting.set(ip, { until: clock.now() + Math.min(REST_MOST_MS, REST_MS * 2 ** before), failures: before + 1 });
  }

  async function candidates(path: LanePath): Promise<{ found: { mx: string; ip: string }[]; temporary: string }> {
    const found: { mx: string; ip: string }[] = [];
    let temporary = "";
    for (const exchanger of resolver.order(path.route)) {
      const addresses = await resolver.addresses(exchanger.name);
      if (!Array.isArray(addresses)) {
        if (addresses.kind === "temporary") temporary = addresses.text;
        continue;
      }
      for (const ip of addresses) found.push({ mx: exchanger.name, ip });
    }
    return { found, temporary };
  }

  return async (key, { change }, signal) => {
    const path = deps.path(key);
    if (path === undefined) return outcome("unreachable", "local", { text: "the lane has no route" });
    const { found, temporary } = await candidates(path);
    if (found.length === 0)
      return temporary !== ""
        ? outcome("unreachable", "resolve", { enhanced: "4.4.3", text: temporary, publicId: key.publicId })
        : outcome("unreachable", "resolve", {
            enhanced: "4.4.4",
            text: "no exchanger of the domain has an address",
            publicId: key.publicId,
          });
    const now = clock.now();
    const awake = found.filter(({ ip }) => (resting.get(ip)?.until ?? 0) <= now);
    let last: Outcome = outcome("unreachable", "connect", { text: "no exchanger could be tried" });
    for (const { mx, ip } of awake.length > 0 ? awake : found) {
      if (signal.aborted) return outcome("unreachable", "local", { text: "shutting down" });
      const { relay } = settings;
      const result = await deps.open(
        {
          mx,
          ip,
          port: relay.host === "" ? settings.smtp.port : relay.port,
          localAddress: path.ip.address,
          publicId: path.ip.publicId,
          helo: path.ip.helo || deps.helo,
          tls: deps.limits(key).tls,
          auth: relay.user === "" ? null : { user: relay.user, password: relay.password, insecure: relay.insecureAuth },
        },
        { permit: deps.permit, change },
      );
      if (!("kind" in result)) {
        resting.delete(ip);
        return result;
      }
      last = result;
      rest(ip);
    }
    return last;
  };
}
