/**
 * One question to the DNS: node:dns (c-ares) with our servers, a limit on what is asked at once, an end to every wait, and answers told
 * apart as a mail server must: there are records, there are none, the name does not exist, nobody knows right now (RFC 5321 §5.1).
 */
import { promises } from "node:dns";
import type { Clock } from "../../base/clock.ts";
import type { DnsSettings } from "../../config/settings.ts";

export interface MxRecord {
  readonly exchange: string;
  readonly priority: number;
}

export type Answer<T> =
  | { readonly kind: "records"; readonly records: readonly T[] }
  /** The name is there, without records of this type. */
  | { readonly kind: "none" }
  /** No such name, nor anything below it. */
  | { readonly kind: "no-name" }
  | { readonly kind: "temporary"; readonly text: string };

export interface Dns {
  mx(name: string): Promise<Answer<MxRecord>>;
  a(name: string): Promise<Answer<string>>;
  aaaa(name: string): Promise<Answer<string>>;
}

/** More at once only makes the server drop questions; the rest wait here. */
const QUESTIONS_LIMIT = 200;
const WAITING_LIMIT = 20_000;

export function openDns(settings: DnsSettings, clock: Clock): Dns {
  const { timeoutMs, tries } = settings;
  const resolver = new promises.Resolver({ timeout: timeoutMs, tries, maxTimeout: timeoutMs });
  if (settings.servers.length > 0) resolver.setServers(settings.servers);
  const servers = Math.max(1, resolver.getServers().length);
  let asked = 0;
  const waiting: (() => void)[] = [];

  async function ask<T>(what: string, question: () => Promise<readonly T[]>): Promise<Answer<T>> {
    if (waiting.length >= WAITING_LIMIT) return { kind: "temporary", text: `too many questions to the DNS: ${what}` };
    if (asked >= QUESTIONS_LIMIT) await new Promise<void>((resolve) => waiting.push(resolve));
    else asked++;
    try {
      return await within(tries * servers * timeoutMs + 1000, what, question());
    } catch (error) {
      return failed(what, error as NodeJS.ErrnoException);
    } finally {
      // The place goes to the next in line, or is free.
      const next = waiting.shift();
      if (next === undefined) asked--;
      else next();
    }
  }

  /** The library ends its own waits; this one is for the day it does not. */
  function within<T>(ms: number, what: string, question: Promise<readonly T[]>): Promise<Answer<T>> {
    return new Promise((resolve, reject) => {
      const timer = clock.after(ms, () => resolve({ kind: "temporary", text: `no answer from the DNS: ${what}` }));
      question
        .then((records) => resolve(records.length > 0 ? { kind: "records", records } : { kind: "none" }), reject)
        .finally(() => timer.cancel());
    });
  }

  return {
    mx: (name) => ask(`MX ${name}`, () => resolver.resolveMx(name)),
    a: (name) => ask(`A ${name}`, () => resolver.resolve4(name)),
    aaaa: (name) => ask(`AAAA ${name}`, () => resolver.resolve6(name)),
  };
}

function failed(what: string, error: NodeJS.ErrnoException): Answer<never> {
  if (error.code === "ENODATA") return { kind: "none" };
  if (error.code === "ENOTFOUND") return { kind: "no-name" };
  const known: Readonly<Record<string, string>> = {
    ETIMEOUT: "the DNS does not answer",
    ESERVFAIL: "the DNS server failed",
    EREFUSED: "the DNS server refused the question",
    ECONNREFUSED: "no DNS server",
  };
  return { kind: "temporary", text: `${known[error.code ?? ""] ?? `DNS: ${error.code ?? error.message}`}: ${what}` };
}
