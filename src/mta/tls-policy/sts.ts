/**
 * MTA-STS policies of recipient domains (RFC 8461): found by TXT record, fetched over HTTPS, kept in memory and in the database for all machines.
 *
 * A policy stays in force until its max_age is over, whatever becomes of its TXT record or its server: who can block both must not be able to end
 * it. It is fetched anew when the record has another id, and after a day. Nobody waits for it longer than WAIT_MS: the first message
 * to a domain whose server is slow goes without (RFC 8461 §10.2: the first contact is not protected), the fetch goes on behind it.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { StoredPolicy } from "../../db/mta-sts.ts";
import type { Fetched } from "../../http/fetch.ts";
import type { TlsFinding } from "../../model/tls-result.ts";
import { parseStsPolicy, stsRecordId, type StsPolicy } from "../../smtp/mta-sts.ts";
import type { Answer } from "../dns/answer.ts";
import { openRecent } from "../recent.ts";

export interface DomainPolicy {
  readonly id: string;
  readonly policy: StsPolicy;
  /** As it was fetched, for reports; long ones are cut. */
  readonly text: string;
  readonly fetchedAt: number;
  readonly expiresAt: number;
}

/** The table of policies (`db/mta-sts.ts`); may reject. */
export interface PolicyStore {
  /** In force and fetched after `since` (epoch ms). */
  load(since: number): Promise<readonly StoredPolicy[]>;
  find(domain: string): Promise<StoredPolicy | null>;
  save(policy: StoredPolicy): Promise<void>;
  dropExpired(): Promise<number>;
}

export interface StsDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: PolicyStore;
  txt(name: string): Promise<Answer<string>>;
  /** The policy file of a domain. */
  fetch(domain: string): Promise<Fetched>;
  /** A policy could not be had, for reports. */
  failed(domain: string, finding: TlsFinding): void;
}

export interface Sts {
  /** The policy in force, of mode enforce or testing or none; null without one. Domain in lower case ASCII. Never rejects. */
  policy(domain: string): Promise<DomainPolicy | null>;
  close(): void;
}

const WAIT_MS = 5_000;
const DAY_MS = 86_400_000;
/** RFC 8461 §3.3: after a failure a domain's server is left alone for so long. */
const FAILED_MS = 300_000;
/** Shorter max_ages count as this: with 0 each message would cost its domain a fetch. */
const LEAST_AGE_MS = 300_000;
const FETCHES = 50;
/** What other machines fetched is looked up this often; the overlap covers clocks that differ. */
const SHARE_MS = 60_000;
const OVERLAP_MS = 300_000;
/** Of all policies in memory; a usual one has 200 octets, the largest 64 KB. */
const KEPT_BYTES = 32 * 1024 * 1024;
const TEXT_LIMIT = 4_096;
const FAILURES_LIMIT = 20_000;

export function openSts(deps: StsDeps): Sts {
  const { clock, log, store } = deps;
  const kept = openKept();
  const failures = openRecent<string, number>(FAILURES_LIMIT);
  const fetching = new Map<string, Promise<void>>();
  let timer: Timer | null = null;
  let closed = false;
  let dropAt = 0;

  function inForce(domain: string): DomainPolicy | null {
    const one = kept.get(domain);
    return one !== undefined && one.expiresAt > clock.now() ? one : null;
  }

  function keep(stored: StoredPolicy): void {
    const policy = parseStsPolicy(stored.body);
    // Written by an older or newer version of this program.
    if (typeof policy === "string") return;
    const { id, body, fetchedAt, expiresAt } = stored;
    if ((kept.get(stored.domain)?.fetchedAt ?? 0) > fetchedAt) return;
    kept.set(stored.domain, { id, policy, text: body.slice(0, TEXT_LIMIT), fetchedAt, expiresAt }, body.length);
  }

  const unavailable = (error: unknown): void => log.debug({ err: error }, "the policies of MTA-STS cannot be shared");

  async function share(since: number): Promise<void> {
    try {
      for (const stored of await store.load(since)) keep(stored);
      if (clock.monotonic() >= dropAt) {
        dropAt = clock.monotonic() + DAY_MS;
        await store.dropExpired();
      }
    } catch (error) {
      unavailable(error);
    }
    if (!closed) timer = clock.after(SHARE_MS, () => void share(clock.now() - SHARE_MS - OVERLAP_MS));
  }
  const ready = share(0);

  async function look(domain: string): Promise<DomainPolicy | null> {
    await ready;
    const answer = await deps.txt(`_mta-sts.${domain}`);
    const id = answer.kind === "records" ? stsRecordId(answer.records) : "";
    const known = inForce(domain);
    // RFC 8461 §5.1: a record that is gone does not end a policy.
    if (id === "") return known;
    if (known?.id === id) {
      if (known.fetchedAt + DAY_MS < clock.now()) void refresh(domain, id);
      return known;
    }
    await refresh(domain, id);
    return inForce(domain);
  }

  /** Never rejects. */
  function refresh(domain: string, id: string): Promise<void> {
    const running = fetching.get(domain);
    if (running !== undefined) return running;
    if (fetching.size >= FETCHES || closed || (failures.get(domain) ?? 0) > clock.monotonic()) return Promise.resolve();
    const made = renew(domain, id).finally(() => fetching.delete(domain));
    fetching.set(domain, made);
    return made;
  }

  async function renew(domain: string, id: string): Promise<void> {
    const there = await store.find(domain).catch((error: unknown) => (unavailable(error), null));
    if (there !== null) keep(there);
    const known = inForce(domain);
    // Another machine has just fetched it.
    if (known?.id === id && known.fetchedAt + DAY_MS >= clock.now()) return;
    const fetched = await deps.fetch(domain);
    if (fetched.kind !== "body")
      return fail(
        domain,
        fetched.kind === "certificate" ? "sts-webpki-invalid" : "sts-policy-fetch-error",
        fetched.text,
      );
    const policy = parseStsPolicy(fetched.text);
    if (typeof policy === "string") return fail(domain, "sts-policy-invalid", policy);
    const fetchedAt = clock.now();
    const expiresAt = fetchedAt + Math.max(LEAST_AGE_MS, policy.maxAgeMs);
    const stored = { domain, id, body: fetched.text, fetchedAt, expiresAt };
    keep(stored);
    failures.delete(domain);
    await store.save(stored).catch(unavailable);
  }

  function fail(domain: string, result: TlsFinding["result"], reason: string): void {
    failures.set(domain, clock.monotonic() + FAILED_MS);
    log.debug({ domain, result, reason }, "the policy of MTA-STS cannot be had");
    deps.failed(domain, { result, reason });
  }

  return {
    policy(domain) {
      return new Promise((resolve) => {
        // Asked again at its end: what was known before the wait is still known.
        const wait = clock.after(WAIT_MS, () => resolve(inForce(domain)));
        void look(domain).then((found) => {
          wait.cancel();
          resolve(found);
        });
      });
    },
    close() {
      closed = true;
      timer?.cancel();
    },
  };
}

interface Kept {
  get(domain: string): DomainPolicy | undefined;
  set(domain: string, policy: DomainPolicy, bytes: number): void;
}

/** A map bounded by the octets in it; what was longest unused goes first. It is in the table still. */
function openKept(): Kept {
  const map = new Map<string, { readonly policy: DomainPolicy; readonly bytes: number }>();
  let total = 0;
  return {
    get(domain) {
      const one = map.get(domain);
      if (one === undefined) return undefined;
      map.delete(domain);
      map.set(domain, one);
      return one.policy;
    },
    set(domain, policy, length) {
      total -= map.get(domain)?.bytes ?? 0;
      map.delete(domain);
      // Twice its text (the patterns, the text) and what the objects take.
      const bytes = 2 * length + 500;
      map.set(domain, { policy, bytes });
      total += bytes;
      for (const [oldest, one] of map) {
        if (total <= KEPT_BYTES) return;
        map.delete(oldest);
        total -= one.bytes;
      }
    },
  };
}
