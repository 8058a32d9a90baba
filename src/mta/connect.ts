/**
 * A session for a lane: exchangers by preference (shuffled inside equal ones, RFC 5321 §5.1), each of their addresses in turn, until one
 * gives a session. An address that failed is left alone for a while, 4 s doubling to 5 min, unless all others fail too; so a
 * dead exchanger costs its time-out once, not once a session. An attempt ends after 5 addresses or a minute: a domain with hundreds of
 * addresses that never answer must not keep its lane for hours; the next attempt goes on with those that do not rest.
 */
import type { Clock } from "../base/clock.ts";
import type { MtaSettings } from "../config/settings.ts";
import { type Outcome, outcome } from "../model/outcome.ts";
import type { LaneKey, LaneLimits } from "../model/traffic.ts";
import { isPublicAddress } from "./public-address.ts";
import type { Resolver } from "./resolver.ts";
import type { Session, SessionEvents, SessionTarget } from "./session-contract.ts";
import type { LanePath } from "./sites.ts";

const REST_MS = 4000;
const REST_MOST_MS = 300_000;
const REMEMBERED = 20_000;
/** Addresses of one attempt. RFC 5321 §5.1: a limit may be set, and at least two are tried. */
const ADDRESSES = 5;
/** After this long an attempt begins with no further address; the one at work keeps its own time-outs. */
const ATTEMPT_MS = 60_000;
/** Refused addresses that are named in the outcome. */
const NAMED = 3;

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

interface Candidates {
  readonly found: readonly { mx: string; ip: string }[];
  /** Why names may have addresses that are not known now, or ''. */
  readonly temporary: string;
  /** What is wrong with the addresses of the first exchanger of which none may be used, or ''. */
  readonly refused: string;
}

export function openConnect(deps: ConnectDeps): Connect {
  const { clock, settings, resolver } = deps;
  const resting = new Map<string, { until: number; failures: number }>();

  function rest(ip: string): void {
    const before = resting.get(ip)?.failures ?? 0;
    if (resting.size >= REMEMBERED) resting.clear();
    resting.set(ip, { until: clock.now() + Math.min(REST_MOST_MS, REST_MS * 2 ** before), failures: before + 1 });
  }

  const restsUntil = (ip: string): number => resting.get(ip)?.until ?? 0;
  const allowed = (ip: string): boolean =>
    settings.smtp.privateAddresses || settings.relay.host !== "" || isPublicAddress(ip);

  async function candidates(path: LanePath, late: () => boolean): Promise<Candidates> {
    const found: { mx: string; ip: string }[] = [];
    let temporary = "";
    let refused = "";
    for (const { name } of resolver.order(path.route)) {
      if (late()) break;
      const addresses = await resolver.addresses(name);
      if (!Array.isArray(addresses)) {
        if (addresses.kind === "temporary") temporary = addresses.text;
        continue;
      }
      const good = addresses.filter(allowed);
      if (good.length === 0)
        refused ||= `exchanger ${name} has only private addresses (${addresses.slice(0, NAMED).join(", ")})`;
      for (const ip of good) found.push({ mx: name, ip });
    }
    return { found, temporary, refused };
  }

  return async (key, { change }, signal) => {
    const path = deps.path(key);
    if (path === undefined) return outcome("unreachable", "local", { text: "the lane has no route" });
    const began = clock.now();
    const late = (): boolean => clock.now() - began >= ATTEMPT_MS;
    const { found, temporary, refused } = await candidates(path, late);
    if (found.length === 0)
      return temporary !== ""
        ? outcome("unreachable", "resolve", { enhanced: "4.4.3", text: temporary, publicId: key.publicId })
        : outcome("unreachable", "resolve", {
            enhanced: "4.4.4",
            text: refused || "no exchanger of the domain has an address",
            publicId: key.publicId,
          });
    const now = clock.now();
    const awake = found.filter(({ ip }) => restsUntil(ip) <= now);
    let last: Outcome = outcome("unreachable", "connect", { text: "no exchanger could be tried" });
    const chosen = awake.length > 0 ? awake : found.toSorted((a, b) => restsUntil(a.ip) - restsUntil(b.ip));
    for (const [tried, { mx, ip }] of chosen.slice(0, ADDRESSES).entries()) {
      // The first one always: names that were slow to resolve must not mean that nothing is ever tried.
      if (tried > 0 && late()) break;
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
