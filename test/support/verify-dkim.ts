/** An independent judge of our DKIM signatures: mailauth, with the public keys from a table instead of the DNS. */
import { dkimVerify } from "mailauth/lib/dkim/verify.js";

export interface PublishedKey {
  readonly domain: string;
  readonly selector: string;
  /** Value of the TXT record. */
  readonly record: string;
}

export interface DkimVerdict {
  readonly signatures: number;
  readonly passed: number;
  /** What mailauth said of each. */
  readonly results: readonly string[];
}

interface Result {
  readonly status: { readonly result: string; readonly comment?: string | false };
}

export async function verifyDkim(message: Uint8Array, keys: readonly PublishedKey[]): Promise<DkimVerdict> {
  const resolver = (name: string, type: string): Promise<string[][]> => {
    const key = keys.find((k) => `${k.selector}._domainkey.${k.domain}` === name.toLowerCase());
    if (key === undefined || type !== "TXT")
      return Promise.reject(Object.assign(new Error(`no ${type} for ${name}`), { code: "ENOTFOUND" }));
    return Promise.resolve([[key.record]]);
  };
  const { results } = (await dkimVerify(Buffer.from(message), { resolver })) as unknown as { results: Result[] };
  const signed = results.filter((r) => r.status.result !== "none");
  return {
    signatures: signed.length,
    passed: signed.filter((r) => r.status.result === "pass").length,
    results: signed.map((r) => `${r.status.result} ${r.status.comment || ""}`.trim()),
  };
}
