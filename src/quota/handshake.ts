/**
 * Who may speak: both ends know one secret and prove it without saying it. Each proof is an HMAC-SHA256 over a number the other end has
 * just drawn, so one that was overheard is worth nothing on the next connection; the two directions sign different words, so that a proof
 * cannot be sent back to whom it came from.
 *
 * It proves who opened the connection. It does not hide or protect what follows: between machines that is the work of TLS or of the network.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** A number nobody has used: 24 octets in hex. */
export function drawNonce(): string {
  return randomBytes(24).toString("hex");
}

/** What a nonce must look like: fixed letters, so that no text can be two different triples of words. */
export const NONCE = /^[0-9a-f]{32,128}$/;

export function clientProof(secret: Buffer, serverNonce: string, clientNonce: string, member: string): string {
  return sign(secret, `postilion-client ${serverNonce} ${clientNonce} ${member}`);
}

export function serverProof(secret: Buffer, clientNonce: string, serverNonce: string): string {
  return sign(secret, `postilion-server ${clientNonce} ${serverNonce}`);
}

/** Compared in a time that says nothing about where they differ. */
export function sameProof(expected: string, said: string): boolean {
  const left = Buffer.from(expected, "latin1");
  const right = Buffer.from(said, "latin1");
  return left.length === right.length && timingSafeEqual(left, right);
}

function sign(secret: Buffer, text: string): string {
  return createHmac("sha256", secret).update(text).digest("hex");
}
