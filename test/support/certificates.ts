/** The certificates of test/support/tls (made by its `make`) and TLSA records for them. */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

/** A key with its certificate and the authorities above it. */
export interface TestCertificate {
  readonly key: string;
  /** Own, then its issuer, then the root. */
  readonly chain: readonly X509Certificate[];
  /** What a server shows: own and issuer. */
  readonly cert: string;
}

const read = (name: string): string => readFileSync(new URL(`tls/${name}.pem`, import.meta.url), "utf8");

function load(name: string): TestCertificate {
  const text = read(name);
  const key = /-----BEGIN PRIVATE[^]*?PRIVATE KEY-----\n/.exec(text)![0];
  const chain = text.match(/-----BEGIN CERT[^]*?END CERTIFICATE-----\n/g)!.map((pem) => new X509Certificate(pem));
  return { key, chain, cert: shown(chain.slice(0, 2)) };
}

export const shown = (chain: readonly X509Certificate[]): string => chain.map((one) => one.toString()).join("");

/** Trust this to trust the others. */
export const authority = read("authority");
/** For mx1.good.test, mx2.good.test, *.wild.test, mta-sts.good.test and mta-sts.second.test. */
export const good = load("good");
/** The same, until 2021. */
export const expired = load("expired");
/** The same, but for clients only. */
export const forClients = load("client");
/** Shown with the true authority, signed by somebody else of its name. */
export const forged = load("forged");
/** Signed by `good`, which is no authority. */
export const below = load("below");

/** A record for a certificate as it stands in a zone. */
export function tlsaOf(one: X509Certificate, usage: number, selector: number, matching: number): string {
  const data = selector === 0 ? one.raw : one.publicKey.export({ type: "spki", format: "der" });
  const hash = ["", "sha256", "sha512"][matching];
  const octets = hash === "" || hash === undefined ? data : createHash(hash).update(data).digest();
  return `${usage} ${selector} ${matching} ${octets.toString("hex")}`;
}
