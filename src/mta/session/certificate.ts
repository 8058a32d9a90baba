/**
 * What a finished or failed TLS handshake says of the server's certificate, in the words of RFC 8460 §4.3: by the authorities of the Web or, for
 * DANE, by TLSA records.
 */
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { TlsFinding, TlsResultType } from "../../model/tls-result.ts";
import { matchTlsa } from "../../smtp/tlsa.ts";
import type { TlsCheck } from "../tls-policy/contract.ts";

export const GOOD: TlsFinding = { result: "", reason: "" };
/** Longer chains are cut: they match no record. */
const CHAIN_LIMIT = 10;

/** The certificate's match with TLSA records. A resumed session was matched under the same records when it was made. */
export function judgeDane(socket: TLSSocket, check: Extract<TlsCheck, { kind: "dane" }>, now: number): TlsFinding {
  if (socket.isSessionReused()) return GOOD;
  const chain: X509Certificate[] = [];
  let next: X509Certificate | undefined = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length < CHAIN_LIMIT) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return matchTlsa(check.records, chain, check.names, now);
}

/**
 * What a check by the authorities of the Web says of a new connection that was made without insisting on it: Node checks chain and name all
 * the same, and leaves the code of what is wrong.
 */
export function judgePkix(socket: TLSSocket): TlsFinding {
  if (socket.authorized) return GOOD;
  const code = String(socket.authorizationError ?? "");
  return { result: certificateResult(code), reason: code || "the certificate is not trusted" };
}

/** From a code of Node or OpenSSL (X509_V_ERR_…). */
export function certificateResult(code: string): TlsResultType {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" || code === "HOSTNAME_MISMATCH") return "certificate-host-mismatch";
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") return "certificate-expired";
  return /^(?:CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH)/.test(code)
    ? "certificate-not-trusted"
    : "validation-failure";
}
