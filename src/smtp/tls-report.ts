/**
 * Reports on TLS (RFC 8460): who wants them, and the JSON made of a day's results of one recipient domain. Sending them is somebody else's.
 */
import type { TlsPolicyType, TlsResult } from "../model/tls-result.ts";

export interface TlsReport {
  readonly "organization-name": string;
  readonly "date-range": { readonly "start-datetime": string; readonly "end-datetime": string };
  readonly "contact-info": string;
  readonly "report-id": string;
  readonly policies: readonly TlsReportPolicy[];
}

export interface TlsReportPolicy {
  readonly policy: {
    readonly "policy-type": TlsPolicyType;
    readonly "policy-string"?: readonly string[];
    readonly "policy-domain": string;
    readonly "mx-host"?: readonly string[];
  };
  readonly summary: {
    readonly "total-successful-session-count": number;
    readonly "total-failure-session-count": number;
  };
  readonly "failure-details"?: readonly {
    readonly "result-type": string;
    readonly "sending-mta-ip"?: string;
    readonly "receiving-mx-hostname"?: string;
    readonly "receiving-ip"?: string;
    readonly "failed-session-count": number;
    readonly "failure-reason-code"?: string;
  }[];
}

/** Who sends the report. */
export interface TlsReporter {
  readonly organization: string;
  /** A mail address. */
  readonly contact: string;
}

/** Addresses of one record that are used; more would make us send one report to a crowd. */
const ADDRESSES_LIMIT = 10;

/** `mailto:` and `https:` addresses in the TXT records of `_smtp._tls.<domain>` (RFC 8460 §3); none when there is not exactly one record. */
export function reportAddresses(records: readonly string[]): string[] {
  const ours = records.filter((record) => /^v=TLSRPTv1[ \t]*;/.test(record));
  if (ours.length !== 1) return [];
  const rua = ours[0]!.split(";").find((field) => /^[ \t]*rua=/.test(field));
  if (rua === undefined) return [];
  return rua
    .slice(rua.indexOf("=") + 1)
    .split(",")
    .map((one) => one.trim())
    .filter((one) => /^(?:mailto:[^\s@<>]+@[^\s@<>]+|https:\/\/[^\s<>]+)$/i.test(one))
    .slice(0, ADDRESSES_LIMIT);
}

/** The report of one day (UTC, `2026-01-31`) for one domain from all its results; null when there are none. RFC 8460 §4.4. */
export function tlsReport(
  day: string,
  domain: string,
  results: readonly TlsResult[],
  { organization, contact }: TlsReporter,
): TlsReport | null {
  const ours = results.filter((row) => row.day === day && row.domain === domain);
  if (ours.length === 0) return null;
  const policies = Map.groupBy(ours, (row) =>
    // RFC 8460 §1.1: the policy domain of DANE is the exchanger's, that of STS the recipient's.
    JSON.stringify([row.policyType, row.policyType === "tlsa" ? row.mx : domain, row.policy]),
  );
  return {
    "organization-name": organization,
    "date-range": { "start-datetime": `${day}T00:00:00Z`, "end-datetime": `${day}T23:59:59Z` },
    "contact-info": contact,
    "report-id": `${day}_${domain}`,
    policies: [...policies.values()].map((rows) => policyOf(domain, rows)),
  };
}

function policyOf(domain: string, rows: readonly TlsResult[]): TlsReportPolicy {
  const { policyType: type, policy, mx } = rows[0]!;
  const lines = policy.split(/\r?\n/).filter((line) => line !== "");
  const patterns = lines.flatMap((line) => /^mx[ \t]*:[ \t]*(\S+)/.exec(line)?.[1] ?? []);
  const failures = rows.filter((row) => row.result !== "");
  const sum = (some: readonly TlsResult[]): number => some.reduce((total, row) => total + row.sessions, 0);
  return {
    policy: {
      "policy-type": type,
      ...(lines.length > 0 ? { "policy-string": lines } : {}),
      "policy-domain": type === "tlsa" ? mx : domain,
      ...(type === "sts" && patterns.length > 0 ? { "mx-host": patterns } : {}),
    },
    summary: {
      "total-successful-session-count": sum(rows.filter((row) => row.result === "")),
      "total-failure-session-count": sum(failures),
    },
    ...(failures.length === 0
      ? {}
      : {
          "failure-details": failures.map((row) => ({
            "result-type": row.result,
            ...(row.sendingIp === "" ? {} : { "sending-mta-ip": row.sendingIp }),
            ...(row.mx === "" ? {} : { "receiving-mx-hostname": row.mx }),
            ...(row.receivingIp === "" ? {} : { "receiving-ip": row.receivingIp }),
            "failed-session-count": row.sessions,
            ...(row.reason === "" ? {} : { "failure-reason-code": row.reason }),
          })),
        }),
  };
}
