import { expect, test } from "vitest";
import type { TlsResult } from "../../src/model/tls-result.ts";
import { reportAddresses, tlsReport } from "../../src/smtp/tls-report.ts";

test.each([
  [["v=TLSRPTv1; rua=mailto:tls@d.test"], ["mailto:tls@d.test"]],
  [["v=TLSRPTv1;rua=mailto:a@d.test, https://r.d.test/v1/tls"], ["mailto:a@d.test", "https://r.d.test/v1/tls"]],
  [["v=spf1 -all", "v=TLSRPTv1; rua=mailto:tls@d.test;"], ["mailto:tls@d.test"]],
  [["v=TLSRPTv1; rua=mailto:a@d.test", "v=TLSRPTv1; rua=mailto:a@d.test"], []],
  [["v=TLSRPTv1"], []],
  [["v=TLSRPTv1; ruf=mailto:a@d.test"], []],
  [["v=TLSRPTv1; rua=http://d.test/x,ftp://d.test,javascript:1,mailto:,mailto:a b@d.test,file:///etc/passwd"], []],
  [
    [`v=TLSRPTv1; rua=${Array.from({ length: 200 }, (_, i) => `mailto:a${i}@d.test`).join(",")}`],
    expect.objectContaining({ length: 10 }),
  ],
  [[], []],
])("who wants reports: %j", (records, addresses) => {
  expect(reportAddresses(records)).toEqual(addresses);
});

const STS = "version: STSv1\r\nmode: testing\r\nmx: mx1.good.test\r\nmx: *.wild.test\r\nmax_age: 86400\r\n";
const base: TlsResult = {
  day: "2026-01-31",
  domain: "good.test",
  policyType: "sts",
  policy: STS,
  mx: "mx1.good.test",
  sendingIp: "192.0.2.1",
  receivingIp: "192.0.2.25",
  result: "",
  sessions: 5326,
  reason: "",
};

test("the report of a day", () => {
  const report = tlsReport(
    "2026-01-31",
    "good.test",
    [
      base,
      { ...base, mx: "mx9.good.test", result: "certificate-expired", sessions: 100, reason: "CERT_HAS_EXPIRED" },
      { ...base, result: "starttls-not-supported", sessions: 200, sendingIp: "", receivingIp: "" },
      { ...base, policyType: "tlsa", policy: "3 1 1 ab\n2 0 1 cd", mx: "mx2.good.test", sessions: 3 },
      { ...base, domain: "other.test", sessions: 9999 },
      { ...base, day: "2026-01-30", sessions: 9999 },
    ],
    { organization: "Sender Inc.", contact: "tls@sender.test" },
  );
  // RFC 8460 Appendix B, with our numbers.
  expect(JSON.parse(JSON.stringify(report))).toEqual({
    "organization-name": "Sender Inc.",
    "date-range": { "start-datetime": "2026-01-31T00:00:00Z", "end-datetime": "2026-01-31T23:59:59Z" },
    "contact-info": "tls@sender.test",
    "report-id": "2026-01-31_good.test",
    policies: [
      {
        policy: {
          "policy-type": "sts",
          "policy-string": [
            "version: STSv1",
            "mode: testing",
            "mx: mx1.good.test",
            "mx: *.wild.test",
            "max_age: 86400",
          ],
          "policy-domain": "good.test",
          "mx-host": ["mx1.good.test", "*.wild.test"],
        },
        summary: { "total-successful-session-count": 5326, "total-failure-session-count": 300 },
        "failure-details": [
          {
            "result-type": "certificate-expired",
            "sending-mta-ip": "192.0.2.1",
            "receiving-mx-hostname": "mx9.good.test",
            "receiving-ip": "192.0.2.25",
            "failed-session-count": 100,
            "failure-reason-code": "CERT_HAS_EXPIRED",
          },
          {
            "result-type": "starttls-not-supported",
            "receiving-mx-hostname": "mx1.good.test",
            "failed-session-count": 200,
          },
        ],
      },
      {
        policy: { "policy-type": "tlsa", "policy-string": ["3 1 1 ab", "2 0 1 cd"], "policy-domain": "mx2.good.test" },
        summary: { "total-successful-session-count": 3, "total-failure-session-count": 0 },
      },
    ],
  });
});

test("a day without mail has no report", () => {
  expect(tlsReport("2026-02-01", "good.test", [base], { organization: "", contact: "" })).toBeNull();
});
