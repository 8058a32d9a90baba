/**
 * TLSA records (RFC 6698) as SMTP uses them (RFC 7672): which of them can be used, and whether the certificates a server showed match. Usages
 * DANE-TA(2) and DANE-EE(3) only; the others rest on authorities that nobody agreed on between mail servers (RFC 7672 §3.1.3).
 *
 * A chain up to a trust anchor is checked for names, signatures, dates, CA flags and key purpose. Name constraints and path lengths inside
 * the chain are not: whoever publishes the record chose the anchor.
 */
import { createHash, createPublicKey, type KeyObject, timingSafeEqual, X509Certificate } from "node:crypto";
import type { TlsFinding } from "../model/tls-result.ts";

export interface TlsaRecord {
  readonly usage: number;
  readonly selector: number;
  readonly matching: number;
  readonly data: Uint8Array;
}

const DANE_TA = 2;
const DANE_EE = 3;
/** Octets of matching types 1 and 2: SHA-256, SHA-512. */
const DIGESTS: Readonly<Record<number, readonly [name: string, bytes: number]>> = {
  1: ["sha256", 32],
  2: ["sha512", 64],
};
/** A chain longer than this is nonsense; looking for the next issuer in it costs signatures. */
const CHAIN_LIMIT = 10;
/** id-kp-serverAuth and anyExtendedKeyUsage. */
const SERVER_PURPOSES = ["1.3.6.1.5.5.7.3.1", "2.5.29.37.0"];

/**
 * The records that can be used, in their order. Of several digests of one usage and selector the strongest counts alone (RFC 7671 §9: a server
 * that publishes both must not be held to the weaker one).
 */
export function usableTlsa(records: readonly TlsaRecord[]): TlsaRecord[] {
  const good = records.filter(isUsable);
  return good.filter(
    (record) =>
      record.matching !== 1 ||
      !good.some((o) => o.matching === 2 && o.usage === record.usage && o.selector === record.selector),
  );
}

function isUsable({ usage, selector, matching, data }: TlsaRecord): boolean {
  if ((usage !== DANE_TA && usage !== DANE_EE) || selector > 1) return false;
  if (matching !== 0) return data.length === DIGESTS[matching]?.[1];
  return selector === 0 ? certificate(data) !== null : publicKey(data) !== null;
}

/** As it stands in a zone: `3 1 1 0123ab…`. */
export function tlsaText({ usage, selector, matching, data }: TlsaRecord): string {
  return `${usage} ${selector} ${matching} ${Buffer.from(data).toString("hex")}`;
}

/**
 * @param records usable ones.
 * @param chain what the server showed, its own certificate first, each issued by the next one.
 * @param names one of which the server's certificate must have when it is vouched for by a trust anchor (RFC 7672 §3.2.2).
 */
export function matchTlsa(
  records: readonly TlsaRecord[],
  chain: readonly X509Certificate[],
  names: readonly string[],
  now: number,
): TlsFinding {
  const [leaf] = chain;
  if (leaf === undefined) return { result: "validation-failure", reason: "the server showed no certificate" };
  // RFC 7672 §3.1.1: of usage 3 neither name nor dates are looked at.
  if (records.some((record) => record.usage === DANE_EE && matches(record, leaf))) return { result: "", reason: "" };
  let failed: TlsFinding = { result: "validation-failure", reason: "no TLSA record matches the certificate" };
  for (const record of records) {
    if (record.usage !== DANE_TA) continue;
    const path = pathTo(record, chain.slice(0, CHAIN_LIMIT));
    if (path === null) continue;
    const wrong = checkPath(path, names, now);
    if (wrong.result === "") return wrong;
    failed = wrong;
  }
  return failed;
}

interface ToAnchor {
  /** From the server's certificate up to the anchor's, or to the one the anchor's key signed. */
  readonly certificates: readonly X509Certificate[];
  /** The anchor's key when its certificate is not among them. */
  readonly key: KeyObject | null;
}

function pathTo(record: TlsaRecord, chain: readonly X509Certificate[]): ToAnchor | null {
  const at = chain.findIndex((one, i) => i > 0 && matches(record, one));
  if (at > 0) return { certificates: chain.slice(0, at + 1), key: null };
  if (record.matching !== 0) return null;
  // RFC 7672 §3.1.2: with the whole certificate or key in the record the server need not show it.
  const last = chain.at(-1);
  if (last === undefined) return null;
  if (record.selector === 1) {
    const key = publicKey(record.data);
    return key !== null && signed(last, key) ? { certificates: chain, key } : null;
  }
  const anchor = certificate(record.data);
  return anchor !== null && last.checkIssued(anchor) ? { certificates: [...chain, anchor], key: null } : null;
}

function checkPath({ certificates, key }: ToAnchor, names: readonly string[], now: number): TlsFinding {
  const leaf = certificates[0]!;
  for (const [i, one] of certificates.entries()) {
    const from = one.validFromDate.getTime();
    const to = one.validToDate.getTime();
    if (!(from <= now && now <= to)) {
      return {
        result: "certificate-expired",
        reason: `a certificate is valid from ${one.validFrom} to ${one.validTo}`,
      };
    }
    const issuer = certificates[i + 1];
    if (issuer !== undefined && !(issuer.ca && one.checkIssued(issuer) && signed(one, issuer.publicKey)))
      return { result: "certificate-not-trusted", reason: "the chain to the trust anchor is broken" };
  }
  if (key !== null && !signed(certificates.at(-1)!, key))
    return { result: "certificate-not-trusted", reason: "the chain to the trust anchor is broken" };
  const purposes = leaf.keyUsage as readonly string[] | undefined;
  if (purposes !== undefined && purposes.length > 0 && !purposes.some((one) => SERVER_PURPOSES.includes(one)))
    return { result: "certificate-not-trusted", reason: "the certificate is not for servers" };
  if (!names.some((name) => leaf.checkHost(name, { partialWildcards: false }) !== undefined))
    return { result: "certificate-host-mismatch", reason: `the certificate is not for ${names.join(" or ")}` };
  return { result: "", reason: "" };
}

function signed(one: X509Certificate, key: KeyObject): boolean {
  try {
    return one.verify(key);
  } catch {
    return false; // a key of another kind than the signature
  }
}

function matches({ selector, matching, data }: TlsaRecord, one: X509Certificate): boolean {
  const whole = selector === 0 ? one.raw : keyOctets(one.raw);
  if (whole === null) return false;
  const digest = DIGESTS[matching];
  const mine = digest === undefined ? whole : createHash(digest[0]).update(whole).digest();
  return mine.length === data.length && timingSafeEqual(mine, data);
}

function certificate(der: Uint8Array): X509Certificate | null {
  try {
    return new X509Certificate(der);
  } catch {
    return null; // whatever stands in the DNS
  }
}

function publicKey(der: Uint8Array): KeyObject | null {
  try {
    return createPublicKey({ key: Buffer.from(der), format: "der", type: "spki" });
  } catch {
    return null; // whatever stands in the DNS
  }
}

/**
 * SubjectPublicKeyInfo of a certificate as it stands there (RFC 5280 §4.1): the octets that were hashed into the record, not what a library
 * would write for the same key.
 */
function keyOctets(der: Buffer): Buffer | null {
  const outer = element(der, 0);
  const body = outer && element(der, outer.start);
  if (!body) return null;
  let at = body.start;
  // [0] version is optional; then serial, algorithm, issuer, validity, subject.
  let skip = der[at] === 0xa0 ? 6 : 5;
  for (; skip > 0; skip--) {
    const field = element(der, at);
    if (field === null) return null;
    at = field.end;
  }
  const key = element(der, at);
  return key === null ? null : der.subarray(at, key.end);
}

/** Where the content of the DER element at `at` begins and where it ends. */
function element(der: Buffer, at: number): { start: number; end: number } | null {
  const first = der[at + 1];
  if (first === undefined) return null;
  const more = first & 0x80 ? first & 0x7f : 0;
  if (first === 0x80 || more > 4 || at + 2 + more > der.length) return null;
  const length = more === 0 ? first : der.readUIntBE(at + 2, more);
  const start = at + 2 + more;
  return start + length > der.length ? null : { start, end: start + length };
}
