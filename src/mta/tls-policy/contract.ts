/**
 * What a recipient domain asks of TLS, and what the rest of the mta needs to know of it. A policy belongs to the domain: two domains on the
 * same exchangers may ask for different things. Its lanes are therefore apart (the mark in the site's name), and policies of one marked site
 * ask the same of a connection, so that whatever connection the lane has will do for all its mail.
 */
import type { TlsFinding, TlsResultType } from "../../model/tls-result.ts";
import type { TlsaRecord } from "../../smtp/tlsa.ts";
import type { Outcome } from "../../model/outcome.ts";
import type { Route } from "../resolver.ts";

export type SiteRoute = Extract<Route, { kind: "site" }>;

/** How a certificate is checked on a connection that must have TLS. */
export type TlsCheck =
  /** Valid by the authorities of the Web, for the exchanger's name (RFC 8461 §4.2). */
  | { readonly kind: "pkix" }
  /** Any: the records of the exchanger cannot be used, encryption is all there is (RFC 7672 §2.2). */
  | { readonly kind: "any" }
  /** By TLSA records (RFC 7672 §3); `name` is said in SNI. */
  | {
      readonly kind: "dane";
      readonly records: readonly TlsaRecord[];
      readonly name: string;
      /** One of them must be in a certificate that a trust anchor vouches for. */
      readonly names: readonly string[];
    };

/** What a policy asks of a connection to one exchanger: TLS, whatever the MX rule says, with this check. */
export interface TlsDemand {
  /** Same name, same demand: TLS sessions are resumed only under it. */
  readonly name: string;
  readonly check: TlsCheck;
}

/** An exchanger may not be used. */
export interface TlsRefusal {
  /** Why, in one sentence. */
  readonly refused: string;
  readonly result: TlsResultType;
}

export interface TlsPolicy {
  readonly domain: string;
  /** `MTA-STS enforce 2024a`, `DANE`, '' for none: for people. */
  readonly name: string;
  /** The exchangers that may be used; `site` carries the mark. */
  readonly route: SiteRoute;
  /** Why no exchanger may be used (`route` then has none), or null. */
  readonly refusal: TlsRefusal | null;
  /** What to ask of a connection to this exchanger now: null is nothing, the MX rule decides. Never rejects. */
  demand(mx: string): Promise<TlsDemand | TlsRefusal | null>;
}

/** One connection, as far as TLS got. */
export interface TlsLink {
  readonly mx: string;
  readonly ip: string;
  readonly localAddress: string;
  /** How it was checked; `none`: not insisted on. */
  readonly check: TlsCheck["kind"] | "none";
  /** What the check says of it, for `none` that by the authorities of the Web; null: TLS was not tried. */
  finding(): TlsFinding | null;
}

/** Who counts what TLS came to. */
export interface TlsObserver {
  /** Mail to this domain leaves over the connection; told once for each domain of a connection. */
  carried(domain: string, link: TlsLink): void;
  /** There is no session because of TLS: `outcome` is what was made of it. */
  failed(outcome: Outcome, link: TlsLink): void;
}

/** Enhanced status of outcomes that a TLS policy decided (RFC 3463 §3.8: cryptographic failure). */
export const TLS_POLICY_STATUS = "4.7.5";
