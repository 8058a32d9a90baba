/** Mail read back by a parser that is not ours, and the only importer of mailparser. */
import { type ParsedMail, simpleParser, type SimpleParserOptions } from "mailparser";

export type { ParsedMail } from "mailparser";

export function parseMail(message: Uint8Array | string, options: SimpleParserOptions = {}): Promise<ParsedMail> {
  return simpleParser(typeof message === "string" ? message : Buffer.from(message), options);
}
