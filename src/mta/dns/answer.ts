/** What the DNS says, told apart as a mail server must: there are records, there are none, the name does not exist, nobody knows now. */
import type { TlsaRecord } from "../../smtp/tlsa.ts";

export interface MxRecord {
  readonly exchange: string;
  readonly priority: number;
}

/** `secure`: validated with DNSSEC by a resolver that the settings trust (`dns.trustAd`). */
export type Answer<T> =
  | {
      readonly kind: "records";
      readonly records: readonly T[];
      readonly secure: boolean;
      /** Where its CNAMEs ended; the name asked for when it has none or nobody said. */
      readonly name: string;
    }
  /** The name is there, without records of this type. */
  | { readonly kind: "none"; readonly secure: boolean }
  /** No such name, nor anything below it. */
  | { readonly kind: "no-name"; readonly secure: boolean }
  | { readonly kind: "temporary"; readonly text: string };

/** Never rejects. Names in lower case ASCII, without a dot at the end. */
export interface Dns {
  mx(name: string): Promise<Answer<MxRecord>>;
  a(name: string): Promise<Answer<string>>;
  aaaa(name: string): Promise<Answer<string>>;
  /** Each record's strings joined. */
  txt(name: string): Promise<Answer<string>>;
  /** Only ever secure ones: without validation there are none. */
  tlsa(name: string): Promise<Answer<TlsaRecord>>;
}
