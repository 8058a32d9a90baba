import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { matchTlsa, type TlsaRecord, tlsaText, usableTlsa } from "../../src/smtp/tlsa.ts";
import { below, expired, forClients, forged, good, tlsaOf } from "../support/certificates.ts";
import { tlsCertificate } from "../support/script-server.ts";

const record = (text: string): TlsaRecord => {
  const [usage, selector, matching, hex = ""] = text.split(" ");
  return {
    usage: Number(usage),
    selector: Number(selector),
    matching: Number(matching),
    data: Buffer.from(hex, "hex"),
  };
};
const [leaf, middle, root] = good.chain as [X509Certificate, X509Certificate, X509Certificate];
const NAMES = ["mx1.good.test"];
const NOW = Date.UTC(2026, 0, 1);
const match = (texts: readonly string[], chain = [leaf, middle, root], names = NAMES) =>
  matchTlsa(usableTlsa(texts.map(record)), chain, names, NOW);
const ok = { result: "", reason: "" };
const stranger = new X509Certificate(tlsCertificate);

describe("which records can be used", () => {
  test.each([
    ["usage 0", `0 0 1 ${"00".repeat(32)}`],
    ["usage 1", `1 1 1 ${"00".repeat(32)}`],
    ["usage 4", `4 1 1 ${"00".repeat(32)}`],
    ["selector 2", `3 2 1 ${"00".repeat(32)}`],
    ["matching type 3", `3 1 3 ${"00".repeat(32)}`],
    ["half a digest", `3 1 1 ${"00".repeat(16)}`],
    ["a digest too long", `3 1 1 ${"00".repeat(33)}`],
    ["SHA-512 of 32 octets", `3 1 2 ${"00".repeat(32)}`],
    ["a certificate that is none", "3 0 0 30820102"],
    ["a key that is none", "2 1 0 deadbeef"],
    ["nothing", "3 1 1 "],
  ])("%s: not", (_name, text) => {
    expect(usableTlsa([record(text)])).toEqual([]);
  });

  test("the strongest digest of a usage and selector alone", () => {
    const [weak, strong] = [record(tlsaOf(leaf, 3, 1, 1)), record(tlsaOf(leaf, 3, 1, 2))];
    const others = [record(tlsaOf(leaf, 3, 1, 0)), record(tlsaOf(leaf, 3, 0, 1)), record(tlsaOf(root, 2, 1, 1))];
    expect(usableTlsa([weak, strong, ...others])).toEqual([strong, ...others]);
    // A wrong SHA-512 beside a right SHA-256 is not met by the right one.
    expect(match([tlsaOf(leaf, 3, 1, 1), tlsaOf(middle, 3, 1, 2)]).result).toBe("validation-failure");
  });

  test("as text", () => expect(tlsaText(record("3 1 1 00FF"))).toBe("3 1 1 00ff"));
});

describe("DANE-EE", () => {
  for (const selector of [0, 1])
    for (const matching of [0, 1, 2])
      test(`3 ${selector} ${matching}`, () => {
        expect(match([tlsaOf(leaf, 3, selector, matching)])).toEqual(ok);
        expect(match([tlsaOf(leaf, 3, selector, matching)], [stranger])).toMatchObject({
          result: "validation-failure",
        });
      });

  test("neither name nor date counts", () => {
    const { chain } = expired;
    expect(match([tlsaOf(chain[0]!, 3, 1, 1)], [...chain], ["elsewhere.test"])).toEqual(ok);
  });
  test("one of several records is enough: a key that is being changed", () => {
    expect(match([tlsaOf(stranger, 3, 1, 1), tlsaOf(leaf, 3, 1, 1)])).toEqual(ok);
  });
  test("the issuer's certificate is not the server's", () => {
    expect(match([tlsaOf(middle, 3, 1, 1)])).toMatchObject({ result: "validation-failure" });
  });
  test("a self-signed one", () => {
    expect(match([tlsaOf(stranger, 3, 1, 1)], [stranger])).toEqual(ok);
  });
  test("no certificate at all", () => {
    expect(match([tlsaOf(leaf, 3, 1, 1)], [])).toMatchObject({ result: "validation-failure" });
  });
});

describe("DANE-TA", () => {
  for (const selector of [0, 1])
    for (const matching of [0, 1, 2])
      test(`2 ${selector} ${matching}: root, issuer`, () => {
        expect(match([tlsaOf(root, 2, selector, matching)])).toEqual(ok);
        expect(match([tlsaOf(middle, 2, selector, matching)])).toEqual(ok);
      });

  test("whole in the record, it need not be shown; a digest must be", () => {
    expect(match([tlsaOf(middle, 2, 0, 0)], [leaf])).toEqual(ok);
    expect(match([tlsaOf(middle, 2, 1, 0)], [leaf])).toEqual(ok);
    expect(match([tlsaOf(root, 2, 0, 0)], [leaf, middle])).toEqual(ok);
    expect(match([tlsaOf(root, 2, 1, 0)], [leaf, middle])).toEqual(ok);
    expect(match([tlsaOf(root, 2, 0, 0)], [leaf]).result).toBe("validation-failure");
    expect(match([tlsaOf(middle, 2, 0, 1)], [leaf]).result).toBe("validation-failure");
  });
  test("the name counts, and any of the names will do", () => {
    expect(match([tlsaOf(root, 2, 0, 1)], undefined, ["elsewhere.test"]).result).toBe("certificate-host-mismatch");
    expect(match([tlsaOf(root, 2, 0, 1)], undefined, ["elsewhere.test", "mx2.good.test"])).toEqual(ok);
    expect(match([tlsaOf(root, 2, 0, 1)], undefined, ["a.wild.test"])).toEqual(ok);
    expect(match([tlsaOf(root, 2, 0, 1)], undefined, ["a.b.wild.test"]).result).toBe("certificate-host-mismatch");
  });
  test("the date counts", () => {
    expect(match([tlsaOf(root, 2, 0, 1)], [...expired.chain]).result).toBe("certificate-expired");
  });
  test("the purpose counts", () => {
    expect(match([tlsaOf(root, 2, 0, 1)], [...forClients.chain]).result).toBe("certificate-not-trusted");
  });
  test("a chain that only claims to lead there", () => {
    // The anchor is public: anybody can show it behind a certificate of their own.
    expect(match([tlsaOf(root, 2, 0, 1)], [stranger, root]).result).toBe("certificate-not-trusted");
    expect(match([tlsaOf(middle, 2, 1, 1)], [stranger, middle]).result).toBe("certificate-not-trusted");
    expect(match([tlsaOf(middle, 2, 1, 0)], [stranger]).result).toBe("validation-failure");
  });
  test("the server's own certificate is no anchor", () => {
    expect(match([tlsaOf(leaf, 2, 1, 1)]).result).toBe("validation-failure");
  });
  test("a signature by somebody of the issuer's name", () => {
    const [own] = forged.chain as [X509Certificate];
    expect(own.checkIssued(middle)).toBe(true); // names alone would do
    for (const anchor of [tlsaOf(middle, 2, 0, 1), tlsaOf(root, 2, 1, 1)])
      expect(match([anchor], [...forged.chain]).result).toBe("certificate-not-trusted");
    expect(match([tlsaOf(middle, 2, 0, 0)], [own]).result).toBe("certificate-not-trusted");
    expect(match([tlsaOf(middle, 2, 1, 0)], [own]).result).toBe("validation-failure");
  });
  test("a certificate that is no authority issues nothing", () => {
    const [, issuer] = below.chain as [X509Certificate, X509Certificate];
    for (const anchor of [tlsaOf(issuer, 2, 0, 1), tlsaOf(middle, 2, 0, 1), tlsaOf(root, 2, 0, 1)])
      expect(match([anchor], [...below.chain]).result).toBe("certificate-not-trusted");
    // Its key alone says nothing of what it may do: whoever publishes it as an anchor means it.
    expect(match([tlsaOf(issuer, 2, 1, 0)], [below.chain[0]!])).toEqual(ok);
  });
  test("a good record beside a bad one", () => {
    expect(match([tlsaOf(stranger, 2, 0, 1), tlsaOf(root, 2, 0, 1)])).toEqual(ok);
  });
});
