/** A receiving host that remembers whom it took mail for, how often, and in which order. */
import { type Accepted, type Host, type Manners, openHost, POLITE } from "../../demo/internet/host.ts";
import { until } from "./until.ts";

export interface TakingHost extends Host {
  readonly taken: ReadonlyMap<string, number>;
  /** Addresses as they came. */
  readonly order: readonly string[];
}

export interface TakingOptions {
  readonly manners?: Partial<Manners>;
  /** Loopback; default 127.0.0.1. */
  readonly address?: string;
  /** Default 0: a free one. */
  readonly port?: number;
  /** Sees each message when it is taken, before it is answered. */
  readonly accept?: (message: Accepted) => void;
}

export async function openTaking(options: TakingOptions = {}): Promise<TakingHost> {
  const taken = new Map<string, number>();
  const order: string[] = [];
  const host = await openHost({
    name: "mx.example",
    address: options.address ?? "127.0.0.1",
    port: options.port ?? 0,
    // Not spread: manners may be getters, so that a host changes its mind.
    manners: Object.setPrototypeOf(options.manners ?? {}, POLITE) as Manners,
    certificate: null,
    accept: (message) => {
      for (const to of message.to) {
        taken.set(to, (taken.get(to) ?? 0) + 1);
        order.push(to);
      }
      options.accept?.(message);
    },
  });
  return Object.assign(host, { taken, order });
}

/** Resolves when a number has not changed for a second: whoever made it change has stopped. Rejects when it goes on for 30 s. */
export async function stillness(count: () => number, what: string): Promise<number> {
  let last = count();
  let since = performance.now();
  await until(
    () => {
      const now = count();
      if (now !== last) since = performance.now();
      last = now;
      return performance.now() - since > 1000;
    },
    { what: `${what} to stand still`, timeoutMs: 30_000 },
  );
  return last;
}

/** Addresses `p0@…`, `p1@…` over a number of domains. */
export function people(count: number, domains = 1, name = "one"): string[] {
  return Array.from({ length: count }, (_, i) => `p${i}@${name}${i % domains}.example`);
}
