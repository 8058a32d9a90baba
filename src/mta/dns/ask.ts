/**
 * Questions to the DNS: a limit on what is asked at once and an end to every wait. Asked by node:dns (c-ares), which says nothing of DNSSEC, so
 * that nothing is secure; or by ourselves, when the settings say that the resolver validates and is to be believed (`dns.trustAd`): it then has
 * to be on this machine or reached over a path nobody else can write to.
 */
import { promises } from "node:dns";
import type { Clock } from "../../base/clock.ts";
import type { DnsSettings } from "../../config/settings.ts";
import type { Answer, Dns, MxRecord } from "./answer.ts";
import { openValidatingDns } from "./validating.ts";

export type { Answer, Dns, MxRecord } from "./answer.ts";

export type DnsOptions = Omit<DnsSettings, "trustAd"> & { readonly trustAd?: boolean };

/** More at once only makes the server drop questions; the rest wait here. */
const QUESTIONS_LIMIT = 200;
const WAITING_LIMIT = 20_000;

export function openDns(settings: DnsOptions, clock: Clock): Dns {
  const { timeoutMs, tries } = settings;
  const resolver = new promises.Resolver({ timeout: timeoutMs, tries, maxTimeout: timeoutMs });
  if (settings.servers.length > 0) resolver.setServers(settings.servers);
  const servers = resolver.getServers();
  const trusted = settings.trustAd === true;
  const dns = trusted ? openValidatingDns({ servers, timeoutMs, tries }, clock) : openCares(resolver);
  // Ours may need UDP with EDNS, without, and TCP for one try.
  const longestMs = tries * Math.max(1, servers.length) * timeoutMs * (trusted ? 3 : 1) + 1000;
  let asked = 0;
  const waiting: (() => void)[] = [];

  async function ask<T>(what: string, question: () => Promise<Answer<T>>): Promise<Answer<T>> {
    if (waiting.length >= WAITING_LIMIT) return { kind: "temporary", text: `too many questions to the DNS: ${what}` };
    if (asked >= QUESTIONS_LIMIT) await new Promise<void>((resolve) => waiting.push(resolve));
    else asked++;
    try {
      return await within(longestMs, what, question());
    } catch (error) {
      // A name that cannot be asked for.
      return { kind: "temporary", text: `DNS: ${(error as Error).message}: ${what}` };
    } finally {
      // The place goes to the next in line, or is free.
      const next = waiting.shift();
      if (next === undefined) asked--;
      else next();
    }
  }

  /** The questions end their own waits; this one is for the day one does not. */
  function within<T>(ms: number, what: string, question: Promise<Answer<T>>): Promise<Answer<T>> {
    return new Promise((resolve, reject) => {
      const timer = clock.after(ms, () => resolve({ kind: "temporary", text: `no answer from the DNS: ${what}` }));
      question.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  return {
    mx: (name) => ask(`MX ${name}`, () => dns.mx(name)),
    a: (name) => ask(`A ${name}`, () => dns.a(name)),
    aaaa: (name) => ask(`AAAA ${name}`, () => dns.aaaa(name)),
    txt: (name) => ask(`TXT ${name}`, () => dns.txt(name)),
    tlsa: (name) => ask(`TLSA ${name}`, () => dns.tlsa(name)),
  };
}

function openCares(resolver: InstanceType<typeof promises.Resolver>): Dns {
  async function ask<T>(type: string, name: string, question: Promise<readonly T[]>): Promise<Answer<T>> {
    try {
      const records = await question;
      return records.length > 0 ? { kind: "records", records, secure: false, name } : { kind: "none", secure: false };
    } catch (error) {
      return failed(`${type} ${name}`, error as NodeJS.ErrnoException);
    }
  }
  return {
    mx: (name) => ask<MxRecord>("MX", name, resolver.resolveMx(name)),
    a: (name) => ask("A", name, resolver.resolve4(name)),
    aaaa: (name) => ask("AAAA", name, resolver.resolve6(name)),
    txt: (name) =>
      ask(
        "TXT",
        name,
        resolver.resolveTxt(name).then((records) => records.map((strings) => strings.join(""))),
      ),
    // Not validated: as if there were none (RFC 7672 §2.1.1).
    tlsa: () => Promise.resolve({ kind: "none", secure: false }),
  };
}

function failed(what: string, error: NodeJS.ErrnoException): Answer<never> {
  if (error.code === "ENODATA") return { kind: "none", secure: false };
  if (error.code === "ENOTFOUND") return { kind: "no-name", secure: false };
  const known: Readonly<Record<string, string>> = {
    ETIMEOUT: "the DNS does not answer",
    ESERVFAIL: "the DNS server failed",
    EREFUSED: "the DNS server refused the question",
    ECONNREFUSED: "no DNS server",
  };
  return { kind: "temporary", text: `${known[error.code ?? ""] ?? `DNS: ${error.code ?? error.message}`}: ${what}` };
}
