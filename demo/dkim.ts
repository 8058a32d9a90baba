/** DKIM signatures looked at by a verifier that is not ours (mailauth), with keys fetched from the DNS as a receiver would. */
import { Resolver } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";

export interface Verified {
  readonly verified: number;
  readonly failed: number;
}

/** A message counts as verified when it has a signature and every one of them passes. `dns`: `address:port` of the name server. */
export async function verifySamples(samples: readonly { readonly file: string }[], dns: string): Promise<Verified> {
  let verified = 0;
  let failed = 0;
  for (const { file } of samples) {
    const results = await dkimResults(await readFile(file), dns);
    if (results.length > 0 && results.every((result) => result === "pass")) verified++;
    else failed++;
  }
  return { verified, failed };
}

/** What becomes of each signature of a message: `pass`, `fail`, `neutral` …; empty when it has none. */
export async function dkimResults(message: Buffer, dns: string): Promise<string[]> {
  const resolver = new Resolver({ timeout: 2000, tries: 3 });
  resolver.setServers([dns]);
  // mailauth asks for TXT only here; its type of resolver has no other answers for them.
  const { results } = await dkimVerify(message, { resolver: (name) => resolver.resolveTxt(name) });
  return results.map(({ status }) => status.result);
}
