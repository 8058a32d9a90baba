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
import type { ConnectionGrant, Exchanger, LaneKey, Limits, Traffic } from "../model/traffic.ts";
import { isPublicAddress } from "./public-address.ts";
import { openRecent } from "./recent.ts";
import type { Resolver } from "./resolver.ts";
import type { Session, SessionEvents, SessionTarget } from "./session-contract.ts";
import type { LanePath } from "./lane-table.ts";

const REST_MS = 4000;
const REST_MOST_MS = 300_000;
const REMEMBERED = 20_000;
/** Addresses of one attempt. RFC 5321 §5.1: a limit may be set, and at least two are tried. */
const ADDRESSES = 5;
/** After this long an attempt begins with no further address; the one at work keeps its own time-outs, waiting for a grant is not counted. */
const ATTEMPT_MS = 60_000;
/** Refused addresses that are named in the outcome. */
const NAMED = 3;
/** Addresses the quota chooses from. */
const CHOICE = 16;

export interface ConnectDeps {
  readonly clock: Clock;
  readonly settings: MtaSettings;
  readonly helo: string;
  readonly resolver: Resolver;
  readonly traffic: Pick<Traffic, "connection" | "observe">;
  path(key: LaneKey): LanePath | undefined;
  open(target: SessionTarget, smtp: SmtpSettings, events: SessionEvents): Promise<Session | Outcome>;
  permit: SessionEvents["permit"];
}

export interface ConnectEvents {
  change(): void;
  /**
   * A connection to one of `choice` addresses was granted and is the caller's now. Resolves when it is time to open it, with false when
   * there is nothing to open it for any more.
   */
  granted(grant: ConnectionGrant, choice: number): Promise<boolean>;
  /** The address of the grant gave no session; another grant follows, or the outcome. */
  failed(grant: ConnectionGrant): void;
}

/** A session, or what the last address said; null when `signal` aborted or `granted` said no. Never rejects. */
export type Connect = (
  key: LaneKey,
  urgent: boolean,
  events: ConnectEvents,
  signal: AbortSignal,
) => Promise<Session | Outcome | null>;

interface Candidate extends Exchanger {
  readonly preference: number;
}

interface Candidates {
  readonly found: readonly Candidate[];
  /** Why names may have addresses that are not known now, or ''. */
  readonly temporary: string;
  /** What is wrong with the addresses of the first exchanger of which none may be used, or ''. */
  readonly refused: string;
}

export function openConnect(deps: ConnectDeps): Connect {
  const { clock, settings, resolver, traffic } = deps;
  const { relay } = settings;
  /** By path: what turns one of our addresses away may welcome another. */
  const resting = openRecent<string, { readonly until: number; readonly failures: number }>(REMEMBERED);

  const pathName = (key: LaneKey, ip: string): string => `${key.publicId} ${key.localAddress} ${ip}`;
  const restsUntil = (key: LaneKey, ip: string): number => resting.get(pathName(key, ip))?.until ?? 0;
  const allowed = (ip: string): boolean => settings.smtp.privateAddresses || relay.host !== "" || isPublicAddress(ip);

  function rest(key: LaneKey, ip: string): void {
    const before = resting.get(pathName(key, ip))?.failures ?? 0;
    const until = clock.now() + Math.min(REST_MOST_MS, REST_MS * 2 ** before);
    resting.set(pathName(key, ip), { until, failures: before + 1 });
  }

  async function candidates(path: LanePath, late: () => boolean): Promise<Candidates> {
    const found: Candidate[] = [];
    let temporary = "";
    let refused = "";
    for (const { name, preference } of resolver.order(path.route)) {
      if (late()) break;
      const addresses = await resolver.addresses(name);
      if (!Array.isArray(addresses)) {
        if (addresses.kind === "temporary") temporary = addresses.text;
        continue;
      }
      const good = addresses.filter(allowed);
      if (good.length === 0)
        refused ||= `exchanger ${name} has only private addresses (${addresses.slice(0, NAMED).join(", ")})`;
      for (const ip of good) if (found.every((other) => other.ip !== ip)) found.push({ mx: name, ip, preference });
    }
    return { found, temporary, refused };
  }

  /** Those that do not rest, in their order, to be chosen from by preference; when all do, one by one as their rest ends. */
  function groups(key: LaneKey, found: readonly Candidate[]): Candidate[][] {
    const now = clock.now();
    const awake = found.filter(({ ip }) => restsUntil(key, ip) <= now);
    if (awake.length > 0) return [...Map.groupBy(awake, ({ preference }) => preference).values()];
    return found.toSorted((a, b) => restsUntil(key, a.ip) - restsUntil(key, b.ip)).map((one) => [one]);
  }

  return async (key, urgent, events, signal) => {
    const path = deps.path(key);
    const { publicId } = key;
    if (path === undefined) return outcome("unreachable", "local", { text: "the lane has no route" });
    const quota: LaneKey = { ...key, site: plainSite(key.site) };
    const began = clock.now();
    let waited = 0;
    const late = (): boolean => clock.now() - began - waited >= ATTEMPT_MS;
    const { found, temporary, refused } = await candidates(path, late);
    if (found.length === 0)
      return temporary !== ""
        ? outcome("unreachable", "resolve", { enhanced: "4.4.3", text: temporary, publicId })
        : outcome("unreachable", "resolve", {
            enhanced: "4.4.4",
            text: refused || "no exchanger of the domain has an address",
            publicId,
          });
    let last: Outcome = outcome("unreachable", "connect", { text: "no exchanger could be tried" });
    const left = groups(key, found);
    // The first one always: names that were slow to resolve must not mean that nothing is ever tried.
    for (let tried = 0; tried < ADDRESSES && (tried === 0 || !late()); tried++) {
      const choice = left[0]?.slice(0, CHOICE) ?? [];
      if (choice.length === 0) break;
      const asked = clock.now();
      const grant = await traffic.connection(quota, choice, urgent, signal);
      if (grant === null || !(await events.granted(grant, choice.length))) return null;
      waited += clock.now() - asked;
      const { mx, ip } = grant.exchanger;
      const target: SessionTarget = {
        mx,
        ip,
        port: relay.host === "" ? settings.smtp.port : relay.port,
        localAddress: path.ip.address,
        publicId: path.ip.publicId,
        helo: path.ip.helo || deps.helo,
        tls: grant.limits.tls,
        auth: relay.user === "" ? null : { user: relay.user, password: relay.password, insecure: relay.insecureAuth },
      };
      const result = await deps.open(target, smtpOf(settings.smtp, grant.limits), {
        permit: deps.permit,
        change: events.change,
      });
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
