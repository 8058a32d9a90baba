/** One rendered newsletter, unsigned: what the limit and Postfix send, so that all send the same bytes. */
import { compileContent } from "../../src/render/compose.ts";
import { newsletter, recipient } from "../newsletter.ts";

export function sampleMessage(): Buffer {
  const { subject, html, text } = newsletter();
  const composer = compileContent(
    {
      subject,
      html,
      text,
      textFromHtml: false,
      from: { name: "News", address: "news@plain.example" },
      replyTo: null,
      toName: "",
      headers: [],
      attachments: [],
      globals: {},
      returnPathDomain: "bounces.plain.example",
      listUnsubscribe: { url: "https://t.sender.example", mailtoDomain: "" },
      feedbackId: "",
    },
    { token: [{ id: 1, secret: Buffer.alloc(32, 1) }], dkim: [], version: 1 },
  );
  const { address, variables } = recipient(1, 1, ["receiver.example"]);
  const rendered = composer.render({ id: 1, address, variables: JSON.stringify(variables), delivery: 1 }, Date.now());
  if (!("from" in rendered)) throw new Error(rendered.error);
  return Buffer.from(rendered.bytes);
}
