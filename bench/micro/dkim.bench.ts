/** DKIM of a 12 KB message: the canonical body, its hash, and whole signatures by kind of key. Microseconds, median. */
import { hash } from "node:crypto";
import { dkimSignatures, generateDkimKey, openSigner, type RawHeader, relaxedBody } from "../../src/smtp/dkim.ts";
import { encodeQuotedPrintable, quotedPrintableRoom } from "../../src/smtp/quoted-printable.ts";
import { newsletter } from "../newsletter.ts";
import { medians } from "./median.ts";

const HEADERS: readonly RawHeader[] = [
  ["Message-ID", "<aeaaaaaaaaaaaaafwbf7etxbz3ef6qi@bounces.sender.example>"],
  ["Date", "Thu, 01 Jan 2026 00:00:00 +0000"],
  ["From", "News <news@sender.example>"],
  ["To", "anna.lind@receiver.example"],
  ["Subject", "Anna, your summer picks from Hill End are here"],
  ["List-Unsubscribe", "<https://t.sender.example/u/aeaaaaaaaaaaaaafwbf7etxbz3ef6qi>"],
  ["List-Unsubscribe-Post", "List-Unsubscribe=One-Click"],
  ["MIME-Version", "1.0"],
  ["Content-Type", "text/html; charset=utf-8"],
  ["Content-Transfer-Encoding", "quoted-printable"],
];

export async function run(options: { seconds: number }): Promise<Record<string, number>> {
  const source = Buffer.from(newsletter().html);
  const out = Buffer.alloc(quotedPrintableRoom(source.length));
  const body = out.subarray(0, encodeQuotedPrintable(source, source.length, out, 0));
  const signer = (type: "rsa" | "ed25519", bits = 2048): ReturnType<typeof openSigner> =>
    openSigner({ domain: "sender.example", selector: "s", pem: generateDkimKey(type, bits).pem });
  const kinds = { rsa2048: [signer("rsa")], rsa1024: [signer("rsa", 1024)], ed25519: [signer("ed25519")] };
  const tasks: Record<string, () => void> = {};
  for (const [name, signers] of Object.entries({ ...kinds, both: [...kinds.rsa2048, ...kinds.ed25519] })) {
    tasks[`${name}Us`] = () => void dkimSignatures(HEADERS, body, signers, 1_800_000_000);
  }
  tasks["canonicalBodyUs"] = () => void relaxedBody(body);
  tasks["sha256Us"] = () => void hash("sha256", body, "base64");
  return medians(tasks, options.seconds);
}
