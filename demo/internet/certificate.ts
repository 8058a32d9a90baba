/**
 * A self-signed certificate made on the spot (RFC 5280, P-256, valid for a month around today), because Node can make keys but no
 * certificates and a key in a repository is a bad example. It is written as DER by hand: five kinds of element are all it takes.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

export interface Certificate {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
}

export function makeCertificate(names: readonly string[]): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const ecdsaWithSha256 = sequence(oid("06082a8648ce3d040302"));
  const subject = sequence(
    tagged(0x31, sequence(oid("0603550403"), tagged(0x0c, Buffer.from(names[0] ?? "localhost")))),
  );
  const alternatives = sequence(...names.map((name) => tagged(0x82, Buffer.from(name))));
  const body = sequence(
    tagged(0xa0, tagged(0x02, Buffer.from([2]))),
    // A serial number is positive (§4.1.2.2): its first bit is zero.
    tagged(0x02, Buffer.concat([Buffer.from([0x01]), randomBytes(15)])),
    ecdsaWithSha256,
    subject,
    sequence(time(Date.now() - DAY), time(Date.now() + 30 * DAY)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    tagged(0xa3, sequence(sequence(oid("0603551d11"), tagged(0x04, alternatives)))),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign("sha256", body, privateKey)]);
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    cert: pem(sequence(body, ecdsaWithSha256, tagged(0x03, signature))),
  };
}

const DAY = 24 * 3600 * 1000;

function tagged(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function oid(hex: string): Buffer {
  return Buffer.from(hex, "hex");
}

/** UTCTime, `YYMMDDHHMMSSZ` (§4.1.2.5.1). */
function time(at: number): Buffer {
  const digits = new Date(at).toISOString().replace(/\D/g, "").slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`));
}

function pem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
