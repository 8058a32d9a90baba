/**
 * Where the mail of a domain goes: its exchangers in order (RFC 5321 §5.1) and their addresses. Answers are kept for a while, questions
 * asked by many at once are asked of the DNS once, and nothing here rejects: what the DNS cannot say now is `temporary`.
 *
 * Kept: routes, addresses and records `cacheMs`, "takes no mail" and "none" `negativeCacheMs`, "cannot say now" 10 seconds; 50,000 of each.
 */
import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import type { Clock } from "../base/clock.ts";
import type { DnsSettings } from "../config/settings.ts";
import type { TlsaRecord } from "../smtp/tlsa.ts";
import { openDns, type Answer, type Dns, type DnsOptions, type MxRecord } from "./dns/ask.ts";
import { openRecent } from "./recent.ts";

export interface Exchanger {
  /** Lower case, no dot at the end. */
  readonly name: string;
  readonly preference: number;
}

export type Route =
  | {
      readonly kind: "site";
      /** Exchanger names in order of preference joined by ',' (model/traffic.ts Site); the same order for equal preferences always. */
      readonly site: string;
      readonly exchangers: readonly Exchanger[];
      /** The DNS vouches for it (DNSSEC): nobody but the domain chose these exchangers. Absent: no. */
      readonly secure?: boolean;
    }
  /** The domain takes no mail, for good. */
  | { readonly kind: "unroutable"; readonly enhanced: string; readonly text: string }
  /** Ask again later: RFC 3463 status 4.4.3. */
  | { readonly kind: "temporary"; readonly text: string };

export type Addresses = string[] | { readonly kind: "temporary" | "none"; readonly text: string };

export interface Resolver {
  /** Never rejects. */
  route(domain: string): Promise<Route>;
  /** The addresses of an exchanger in the order of `prefer`; an address is its own. Never rejects. */
  addresses(exchanger: string): Promise<Addresses>;
  /** The exchangers by preference, those of equal preference in random order (RFC 5321 §5.1). */
  order(route: Extract<Route, { kind: "site" }>): Exchanger[];
}

/** What TLS policies ask besides. */
export interface PolicyResolver extends Resolver {
  /** Whether the DNS vouches for an exchanger's addresses, and the name at the end of its CNAMEs (RFC 7672 §2.1.3). Never rejects. */
  vouched(exchanger: string): Promise<Vouched>;
  /** TXT records, each one's strings joined. Never rejects. */
  txt(name: string): Promise<Answer<string>>;
  /** TLSA records that were validated. Never rejects. */
  tlsa(name: string): Promise<Answer<TlsaRecord>>;
}

export interface Vouched {
  readonly secure: boolean;
  readonly name: string;
}

const CACHE_LIMIT = 50_000;
const TEMPORARY_MS = 10_000;
/** Real domains have up to a dozen; a hostile one must not make us ask for hundreds of addresses. */
const EXCHANGERS_LIMIT = 20;
const ADDRESSES_LIMIT = 32;
/** Of TXT or TLSA records of one name: real ones have hundreds. */
const RECORDS_BYTES = 16_384;

interface Found extends Vouched {
  readonly addresses: Addresses;
}

export function openResolver(settings: DnsOptions, clock: Clock): PolicyResolver {
  const dns = openDns(settings, clock);
  const routes = openCache<Route>(clock, ({ kind }) =>
    kind === "site" ? settings.cacheMs : kind === "unroutable" ? settings.negativeCacheMs : TEMPORARY_MS,
  );
  const found = openCache<Found>(clock, ({ addresses: value }) =>
    !("kind" in value) ? settings.cacheMs : value.kind === "none" ? settings.negativeCacheMs : TEMPORARY_MS,
  );
  const keptMs = ({ kind }: Answer<unknown>): number =>
    kind === "records" ? settings.cacheMs : kind === "temporary" ? TEMPORARY_MS : settings.negativeCacheMs;
  const texts = openCache<Answer<string>>(clock, keptMs);
  const certificates = openCache<Answer<TlsaRecord>>(clock, keptMs);

  const find = (exchanger: string): Promise<Found> => {
    const name = plain(exchanger);
    return found(name, () => lookUp(dns, settings.prefer, name));
  };
  const addresses = async (exchanger: string): Promise<Addresses> => (await find(exchanger)).addresses;
  return {
    route(domain) {
      const name = plain(domain);
      return routes(name, () => findRoute(dns, find, name));
    },
    addresses,
    vouched: find,
    txt: (asked) => {
      const name = plain(asked);
      return texts(name, () =>
        ifName(
          name,
          () => dns.txt(name),
          (text) => text.length,
        ),
      );
    },
    tlsa: (asked) => {
      const name = plain(asked);
      return certificates(name, () =>
        ifName(
          name,
          () => dns.tlsa(name),
          ({ data }) => data.length,
        ),
      );
    },
    order: ({ exchangers }) =>
      exchangers
        .map((exchanger) => ({ exchanger, turn: Math.random() }))
        .sort((a, b) => a.exchanger.preference - b.exchanger.preference || a.turn - b.turn)
        .map(({ exchanger }) => exchanger),
  };
}

type Find = (name: string) => Promise<Found>;

/** Asks if it can be a name; what is kept of the answer is bounded. */
async function ifName<T>(name: string, ask: () => Promise<Answer<T>>, size: (one: T) => number): Promise<Answer<T>> {
  if (!isName(name)) return { kind: "no-name", secure: false };
  const answer = await ask();
  if (answer.kind !== "records" || answer.records.reduce((sum, one) => sum + size(one), 0) <= RECORDS_BYTES)
    return answer;
  return { kind: "temporary", text: `too large an answer from the DNS: ${name}` };
}

async function findRoute(dns: Dns, find: Find, domain: string): Promise<Route> {
  if (!isName(domain)) return unroutable("5.1.2", `not a domain: ${domain.slice(0, 100)}`);
  const answer = await dns.mx(domain);
  if (answer.kind === "temporary") return answer;
  if (answer.kind === "no-name") return unroutable("5.1.2", `no such domain: ${domain}`);
  if (answer.kind === "none") {
    // RFC 5321 §5.1: without MX the domain itself is its exchanger.
    const { addresses: own, secure } = await find(domain);
    if (!("kind" in own)) {
      const exchangers = [{ name: domain, preference: 0 }];
      return { kind: "site", site: domain, exchangers, secure: answer.secure && secure };
    }
    if (own.kind === "temporary") return { kind: "temporary", text: own.text };
    return unroutable("5.4.4", `neither MX nor address: ${domain}`);
  }
  const exchangers = inOrder(answer.records);
  const [first] = exchangers;
  // RFC 7505: the root as only exchanger.
  if (first?.name === "" && exchangers.length === 1) return unroutable("5.1.10", `the domain takes no mail: ${domain}`);
  return await usable(exchangers, answer.secure, find, domain);
}

/** Leaves out what cannot be an exchanger, and those that surely have no address. */
async function usable(exchangers: readonly Exchanger[], secure: boolean, find: Find, domain: string): Promise<Route> {
  // An address as exchanger is against RFC 5321 §5.1, and a way to make us connect to anything.
  const named = exchangers.filter(({ name }) => isName(name)).slice(0, EXCHANGERS_LIMIT);
  const results = await Promise.all(named.map(({ name }) => find(name)));
  const good = named.filter((_, i) => {
    const result = results[i]!.addresses;
    return !("kind" in result) || result.kind === "temporary";
  });
  if (good.length === 0) return unroutable("5.4.4", `no exchanger of the domain has an address: ${domain}`);
  return { kind: "site", site: good.map(({ name }) => name).join(","), exchangers: good, secure };
}

/** By preference, then by name so that a site has one name; each name once. */
function inOrder(records: readonly MxRecord[]): Exchanger[] {
  const byName = new Map<string, Exchanger>();
  for (const { exchange, priority } of records) {
    const name = plain(exchange);
    const known = byName.get(name);
    if (known === undefined || priority < known.preference) byName.set(name, { name, preference: priority });
  }
  return [...byName.values()].sort((a, b) => a.preference - b.preference || (a.name < b.name ? -1 : 1));
}

async function lookUp(dns: Dns, prefer: DnsSettings["prefer"], name: string): Promise<Found> {
  const is = (addresses: Addresses, secure = false, at = name): Found => ({ addresses, secure, name: at });
  if (isIP(name) !== 0) return is([name]);
  if (!isName(name)) return is({ kind: "none", text: `not a host name: ${name.slice(0, 100)}` });
  const nothing: Answer<string> = { kind: "none", secure: true };
  const [four, six] = await Promise.all([
    prefer === "ipv6-only" ? nothing : dns.a(name),
    prefer === "ipv4-only" ? nothing : dns.aaaa(name),
  ]);
  const answers = prefer.startsWith("ipv6") ? [six, four] : [four, six];
  const some = answers.flatMap((answer) => (answer.kind === "records" ? [answer] : []));
  const all = some.flatMap(({ records }) => records.slice(0, ADDRESSES_LIMIT));
  if (all.length > 0)
    return is(
      all,
      some.every(({ secure }) => secure),
      some[0]!.name,
    );
  for (const answer of answers) if (answer.kind === "temporary") return is(answer);
  return is({ kind: "none", text: `no address: ${name}` });
}

/** Lower case, in ASCII (RFC 5891), without the dot at the end. '' stays ''. */
export function plain(name: string): string {
  const lower = name.toLowerCase().replace(/\.$/, "");
  // oxlint-disable-next-line no-control-regex -- ASCII is what is asked for
  return /^[\x00-\x7f]*$/.test(lower) ? lower : domainToASCII(lower);
}

/** A host name as the DNS can carry it (RFC 1035 §2.3.4; underscores exist), and not an address. */
function isName(name: string): boolean {
  return name.length <= 253 && /^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/.test(name) && isIP(name) === 0;
}

function unroutable(enhanced: string, text: string): Route {
  return { kind: "unroutable", enhanced, text };
}

/** Remembers results for `keptMs(result)`; while one is being made, all who ask for it wait for the same. */
function openCache<T>(
  clock: Clock,
  keptMs: (value: T) => number,
): (name: string, make: () => Promise<T>) => Promise<T> {
  const kept = openRecent<string, { readonly value: T; readonly until: number }>(CACHE_LIMIT);
  const making = new Map<string, Promise<T>>();
  return (name, make) => {
    const known = kept.get(name);
    if (known !== undefined && known.until > clock.monotonic()) return Promise.resolve(known.value);
    const running = making.get(name);
    if (running !== undefined) return running;
    const made = make().then((value) => {
      kept.set(name, { value, until: clock.monotonic() + keptMs(value) });
      return value;
    });
    making.set(name, made);
    return made.finally(() => making.delete(name));
  };
}
