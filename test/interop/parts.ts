/** A message as a parser that is not ours (mailparser) reads it. */
import { parseMail } from "../support/mail.ts";

export interface Parts {
  readonly subject: string;
  readonly from: string;
  /** Addresses only. */
  readonly to: readonly string[];
  readonly html: string;
  readonly text: string;
  readonly attachments: readonly {
    readonly filename: string;
    readonly contentType: string;
    readonly contentId: string;
    readonly base64: string;
  }[];
  /** '' when it is not there. */
  header(name: string): string;
}

export async function partsOf(message: Uint8Array): Promise<Parts> {
  const mail = await parseMail(message);
  const to = mail.to === undefined ? [] : [mail.to].flat();
  return {
    subject: mail.subject ?? "",
    from: mail.from?.text ?? "",
    to: to.flatMap(({ value }) => value.map(({ address }) => address ?? "")),
    html: mail.html || "",
    text: mail.text ?? "",
    attachments: mail.attachments.map((one) => ({
      filename: one.filename ?? "",
      contentType: one.contentType,
      contentId: one.cid ?? "",
      base64: one.content.toString("base64"),
    })),
    header: (name) =>
      mail.headerLines.find(({ key }) => key === name.toLowerCase())?.line.replace(/^[^:]*:\s*/, "") ?? "",
  };
}
