/** What TLS came to between us and a recipient domain: the words of RFC 8460, and the rows they are counted in. */

/** RFC 8460 §4.3; '' is success. */
export const TLS_RESULTS = [
  "",
  "starttls-not-supported",
  "certificate-host-mismatch",
  "certificate-expired",
  "certificate-not-trusted",
  "validation-failure",
  "tlsa-invalid",
  "dnssec-invalid",
  "dane-required",
  "sts-policy-fetch-error",
  "sts-policy-invalid",
  "sts-webpki-invalid",
] as const;
export type TlsResultType = (typeof TLS_RESULTS)[number];

export type TlsPolicyType = "sts" | "tlsa" | "no-policy-found";

/** What one connection came to. */
export interface TlsFinding {
  readonly result: TlsResultType;
  /** One sentence for a failure, '' for success. */
  readonly reason: string;
}

/** Connections of one day that came to the same, for one recipient domain. */
export interface TlsResult extends TlsFinding {
  /** UTC, `2026-01-31`. */
  readonly day: string;
  /** The recipient domain: its `_smtp._tls` record says who gets the report. */
  readonly domain: string;
  readonly policyType: TlsPolicyType;
  /** Lines of the policy: the STS policy as it was fetched, or TLSA records one a line. */
  readonly policy: string;
  readonly mx: string;
  readonly sendingIp: string;
  readonly receivingIp: string;
  readonly sessions: number;
}
