/**
 * DANE for exchangers (RFC 7672): from the TLSA records of one exchanger to what is asked of a connection to it. Only what the DNS vouches
 * for counts, and that only when the settings trust the resolver; without, every exchanger is `none`.
 */
import { createHash } from "node:crypto";
import { type TlsaRecord, tlsaText, usableTlsa } from "../../smtp/tlsa.ts";
import type { Answer } from "../dns/answer.ts";
import type { PolicyResolver } from "../resolver.ts";
import type { TlsDemand, TlsRefusal } from "./contract.ts";

export type DaneState =
  /** Nothing is published, or nothing that is vouched for. */
  | { readonly kind: "none" }
  /** Nobody can say: whoever suppresses the answer must not get the mail (RFC 7672 §2.1.1). */
  | { readonly kind: "failed"; readonly refusal: TlsRefusal }
  /** `text`: the records, one a line. */
  | { readonly kind: "dane"; readonly demand: TlsDemand; readonly text: string };

export interface Dane {
  /** An exchanger of a domain whose MX records are vouched for. Never rejects. */
  exchanger(mx: string): Promise<DaneState>;
}

/** Each costs a digest or more at each handshake. */
const RECORDS_LIMIT = 50;
const NONE: DaneState = { kind: "none" };

/** @param port of the exchangers: part of the records' name. */
export function openDane(resolver: PolicyResolver, port: number): Dane {
  // The resolver gives the same answer until it asks anew: hashes and certificates are read once.
  const states = new WeakMap<object, DaneState>();

  async function lookUp(base: string, mx: string): Promise<DaneState> {
    const answer = await resolver.tlsa(`_${port}._tcp.${base}`);
    const known = states.get(answer);
    if (known !== undefined) return known;
    const state = stateOf(answer, base, mx);
    states.set(answer, state);
    return state;
  }

  return {
    async exchanger(mx) {
      const { secure, name } = await resolver.vouched(mx);
      // RFC 7672 §2.2.2: unsigned addresses: no TLSA records are looked for, some servers fail at the question.
      if (!secure) return NONE;
      // RFC 7672 §2.2.3: the end of the aliases first, then the name itself.
      const first = await lookUp(name, mx);
      return first.kind === "none" && name !== mx ? await lookUp(mx, mx) : first;
    },
  };
}

function stateOf(answer: Answer<TlsaRecord>, base: string, mx: string): DaneState {
  if (answer.kind === "temporary")
    return {
      kind: "failed",
      refusal: { refused: `DANE: ${answer.text}`, result: "dnssec-invalid" },
    };
  if (answer.kind !== "records" || !answer.secure) return NONE;
  const all = answer.records.slice(0, RECORDS_LIMIT);
  const text = all.map(tlsaText).join("\n");
  const records = usableTlsa(all);
  // RFC 7672 §2.2: records that nobody can use still say that there is TLS.
  if (records.length === 0) return { kind: "dane", text, demand: { name: "dane:any", check: { kind: "any" } } };
  const names = [...new Set([base, mx])];
  const hash = createHash("sha256")
    .update(`${names.join(" ")}\n${text}`)
    .digest("base64url");
  return { kind: "dane", text, demand: { name: `dane:${hash}`, check: { kind: "dane", records, name: base, names } } };
}
