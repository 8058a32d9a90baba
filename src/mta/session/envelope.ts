/**
 * The commands of one message, and the messages that need no server to be refused: too big for it, in need of an extension it does not
 * have, or with an address that would be a second command.
 */
import type { SmtpSettings } from "../../config/settings.ts";
import type { OutcomeKind } from "../../model/outcome.ts";
import type { Capabilities } from "../../smtp/capabilities.ts";
import type { WireMessage } from "../session-contract.ts";

export interface LocalRefusal {
  readonly kind: OutcomeKind;
  readonly enhanced: string;
  readonly text: string;
}

// Control characters would end the command, angle brackets and spaces the address; inside a quoted local part only the former matter
// (RFC 5321 §4.1.2). '' is the null sender.
// oxlint-disable-next-line no-control-regex -- keeping them out is the purpose
const ADDRESS = /^(?:"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"@)?[^\x00-\x20\x7f<>"]*$/;
// oxlint-disable-next-line no-control-regex -- ASCII is what is asked for
const ASCII = /^[\x00-\x7f]*$/;

/** Why this message cannot go to this server, or null. */
export function refusedLocally(message: WireMessage, offered: Capabilities): LocalRefusal | null {
  const { from, to, bytes } = message;
  if (to === "" || !ADDRESS.test(to)) return refusal("5.1.3", "the recipient's address cannot be said in SMTP");
  if (!ADDRESS.test(from)) return refusal("5.1.7", "the sender's address cannot be said in SMTP");
  // RFC 6531 §3.2: without the extension such mail must not be sent.
  if ((message.smtputf8 || !ASCII.test(to) || !ASCII.test(from)) && !offered.smtputf8) {
    return refusal("5.6.7", "the address needs SMTPUTF8 and the server does not offer it");
  }
  if (offered.sizeLimit > 0 && bytes.length > offered.sizeLimit) {
    return refusal("5.3.4", `the message has ${bytes.length} octets and the server takes ${offered.sizeLimit}`);
  }
  // Without its CRLF the final dot would be text, and the server would wait for ever.
  if (bytes.length < 2 || bytes[bytes.length - 2] !== 13 || bytes[bytes.length - 1] !== 10) {
    return { kind: "unrenderable", enhanced: "5.6.0", text: "the message does not end with CRLF" };
  }
  return null;
}

function refusal(enhanced: string, text: string): LocalRefusal {
  return { kind: "rejected", enhanced, text };
}

export function mailCommand(message: WireMessage, offered: Capabilities): string {
  let command = `MAIL FROM:<${message.from}>`;
  if (offered.size) command += ` SIZE=${message.bytes.length}`;
  // RFC 6531 §3.4, §3.6: such a message has UTF-8 in its headers, so it has eight bits.
  if (message.smtputf8) command += offered.eightBitMime ? " BODY=8BITMIME SMTPUTF8" : " SMTPUTF8";
  return `${command}\r\n`;
}

export function rcptCommand(message: WireMessage, offered: Capabilities, dsn: SmtpSettings["dsn"]): string {
  return dsn === "never" && offered.dsn ? `RCPT TO:<${message.to}> NOTIFY=NEVER\r\n` : `RCPT TO:<${message.to}>\r\n`;
}
