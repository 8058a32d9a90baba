/**
 * A session for a lane: exchangers by preference (shuffled inside equal ones, RFC 5321 §5.1), each of their addresses in turn, until one
 * gives a session. Which of the addresses of one preference it is decides the quota: it grants a connection to one of them, and may
 * take as long as it likes for that. An address that failed is left alone for a while, 4 s doubling to 5 min, unless all others fail too;
 * so a dead exchanger costs its time-out once, not once a session. An attempt ends after 5 addresses or a minute: a domain with hundreds
 * of addresses that never answer must not keep its lane for hours; the next attempt goes on with those that do not rest.
 */
import type { Clock } from "../base/clock.ts";
import type { MtaSettings, SmtpSettings } from "../config/settings.ts";
import { type Outcome, outcome } from "../model/outcome.ts";
import { plainSite } from "../model/site-mark.ts";
import type { ConnectionGrant, LaneKey, Limits, Traffic } from "../model/traffic.ts";
import { type Candidate, findCandidates } from "./candidates.ts";
import type { Connect, ConnectEvents } from "./connect-contract.ts";
import { isPublicAddress } from "./public-address.ts";
import { openRecent } from "./recent.ts";
import type { Resolver } from "./resolver.ts";
import type { Session, SessionEvents, SessionTarget } from "./session-contract.ts";
import type { LanePath } from "./lane-table.ts";
import type { TlsPolicies } from "./tls-policy.ts";

const REST_MS = 4000;
const REST_MOST_MS = 300_000;
const REMEMBERED = 20_000;
/** Addresses of one attempt. RFC 5321 §5.1: a limit may be set, and at least two are tried. */
const ADDRESSES = 5;
/** After this long an attempt begins with no further address; the one at work keeps its own time-outs, waiting for a grant is not counted. */
const ATTEMPT_MS = 60_000;
/** Addresses the quota chooses from. */
const CHOICE = 16;

export interface ConnectDeps {
  readonly clock: Clock;
  readonly settings: MtaSettings;
  readonly helo: string;
  readonly resolver: Resolver;
  readonly traffic: Pick<Traffic, "connection" | "observe">;
  /** Makes the outcome of exchangers that a policy forbids. */
  readonly policies: Pick<TlsPolicies, "refuse"> | null;
  path(key: LaneKey): LanePath | undefined;
  open(target: SessionTarget, smtp: SmtpSettings, events: SessionEvents): Promise<Session | Outcome>;
  permit: SessionEvents["permit"];
}

export function openConnect(deps: ConnectDeps): Connect {
  const { clock, settings, resolver, traffic, policies } = deps;
  const { relay } = settings;
  /** By path: what turns one of our addresses away may welcome another. */
  const resting = openRecent<string, { readonly until: number; readonly failures: number }>(REMEMBERED);

  const pathName = (key: LaneKey, ip: string): string => `${key.publicId} ${key.localAddress} ${ip}`;
  const restsUntil = (key: LaneKey, ip: string): number => resting.get(pathName(key, ip))?.until ?? 0;
  const allowed = (ip: string): boolean => settings.smtp.privateAddresses || relay.host !== "" || isPublicAddress(ip);

  function rest(key: LaneKey, ip: string): void {
    const before = resting.get(pathName(key, ip))?.failures ?? 0;
    const until = clock.monotonic() + Math.min(REST_MOST_MS, REST_MS * 2 ** before);
    resting.set(pathName(key, ip), { until, failures: before + 1 });
  }

  /** Those that do not rest, in their order, to be chosen from by preference; when all do, one by one as their rest ends. */
  function groups(key: LaneKey, found: readonly Candidate[]): (readonly Candidate[])[] {
    const now = clock.monotonic();
    const awake = found.filter(({ ip }) => restsUntil(key, ip) <= now);
    if (awake.length > 0) return [...Map.groupBy(awake, ({ preference }) => preference).values()];
    return found.toSorted((a, b) => restsUntil(key, a.ip) - restsUntil(key, b.ip)).map((one) => [one]);
  }

  async function openTo(path: LanePath, grant: ConnectionGrant, events: ConnectEvents): Promise<Session | Outcome> {
    const { exchanger, limits } = grant;
    const { mx, ip } = exchanger;
    const { publicId } = path.ip;
    const demand = (await path.policy?.demand(mx)) ?? null;
    // It may have changed while the grant was waited for.
    if (demand !== null && "refused" in demand)
      return (
        policies?.refuse(demand, { mx, remoteIp: ip, publicId }) ??
        outcome("unreachable", "local", { text: demand.refused })
      );
    const target: SessionTarget = {
      mx,
      ip,
      port: relay.host === "" ? settings.smtp.port : relay.port,
      localAddress: path.ip.address,
      publicId,
      helo: path.ip.helo || deps.helo,
      tls: limits.tls,
      demand,
      auth: relay.user === "" ? null : { user: relay.user, password: relay.password, insecure: relay.insecureAuth },
    };
    const { permit } = deps;
    return await deps.open(target, smtpOf(settings.smtp, limits), { permit, change: events.change });
  }

  return async (key, urgent, events, signal) => {
    const path = deps.path(key);
    const { publicId } = key;
    if (path === undefined) return outcome("unreachable", "local", { text: "the lane has no route" });
    const quota: LaneKey = { ...key, site: plainSite(key.site) };
    const began = clock.monotonic();
    let waited = 0;
    const late = (): boolean => clock.monotonic() - began - waited >= ATTEMPT_MS;
    const found = await findCandidates({ resolver, policies, allowed }, path, late);
    if ("kind" in found) return found;
    let last: Outcome = outcome("unreachable", "connect", { text: "no exchanger could be tried" });
    const left = groups(key, found);
    // The first one always: names that were slow to resolve must not mean that nothing is ever tried.
    for (let tried = 0; tried < ADDRESSES && (tried === 0 || !late()); tried++) {
      const choice = left[0]?.slice(0, CHOICE) ?? [];
      if (choice.length === 0) break;
      const asked = clock.monotonic();
      const grant = await traffic.connection(quota, choice, urgent, signal);
      if (grant === null || !(await events.granted(grant, choice.length))) return null;
      waited += clock.monotonic() - asked;
      const { mx, ip } = grant.exchanger;
      const result = await openTo(deps.path(key) ?? path, grant, events);
      if (!("kind" in result)) {
        resting.delete(pathName(key, ip));
        return result;
      }
      last = result;
      left[0] = left[0]?.filter((other) => other.ip !== ip) ?? [];
      if (left[0].length === 0) left.shift();
      rest(key, ip);
      traffic.observe({ publicId, mx, ip, site: quota.site }, result, 0);
      events.failed(grant);
    }
    return last;
  };
}

/** The times of the rule where it has some. */
function smtpOf(smtp: SmtpSettings, { connectMs, dataMs, replyMs }: Limits): SmtpSettings {
  if (connectMs === 0 && dataMs === 0 && replyMs === 0) return smtp;
  const reply = replyMs > 0 ? { bannerMs: replyMs, ehloMs: replyMs, mailMs: replyMs, rcptMs: replyMs } : {};
  return {
    ...smtp,
    ...reply,
    ...(replyMs > 0 && { dataMs: replyMs }),
    ...(connectMs > 0 && { connectMs }),
    ...(dataMs > 0 && { dotMs: dataMs }),
  };
}
