/** Notifications in JSON that a relay service sends by mail (Amazon SES over SNS): bounces, complaints, deliveries. */
import type { Opened } from "./opened.ts";

export interface Notified {
  readonly what: "bounce" | "complaint" | "delivery";
  readonly recipients: readonly { readonly address: string; readonly status: string; readonly text: string }[];
}

const RECIPIENTS_MOST = 100;

/** null: it is none. */
export function readNotification(mail: Opened): Notified | null {
  if (!mail.text.includes("notificationType") && !mail.text.includes("eventType")) return null;
  const outer = parseObject(mail.text);
  const inner = typeof outer?.["Message"] === "string" ? parseObject(outer["Message"]) : outer;
  if (inner === null) return null;
  const type = String(inner["notificationType"] ?? inner["eventType"] ?? "").toLowerCase();
  if (type === "bounce") return recipientsOf("bounce", inner["bounce"], "bouncedRecipients");
  if (type === "complaint") return recipientsOf("complaint", inner["complaint"], "complainedRecipients");
  if (type === "delivery") return recipientsOf("delivery", inner["delivery"], "recipients");
  return null;
}

function recipientsOf(what: Notified["what"], value: unknown, name: string): Notified | null {
  const list = isObject(value) ? value[name] : null;
  if (!Array.isArray(list)) return null;
  const recipients = list.slice(0, RECIPIENTS_MOST).flatMap((each: unknown) => {
    const fields = isObject(each) ? each : { emailAddress: each };
    const address = fields["emailAddress"];
    if (typeof address !== "string") return [];
    const said = fields["diagnosticCode"];
    return [
      {
        address,
        status: String(fields["status"] ?? ""),
        text: typeof said === "string" ? said.replace(/^\s*[\w-]+\s*;\s*/, "") : "",
      },
    ];
  });
  return { what, recipients };
}

/** From the first brace to the one that closes it; a signature of the notifier follows. JSON that was wrapped by a mail program is mended. */
function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  const from = text.indexOf("{");
  const end = text.indexOf("\n--\n", from);
  const to = text.lastIndexOf("}", end < 0 ? text.length : end);
  if (from < 0 || to < from) return null;
  const json = text.slice(from, to + 1);
  for (const each of [json, json.replaceAll("\n", "")]) {
    try {
      const value: unknown = JSON.parse(each);
      if (isObject(value)) return value;
    } catch {
      continue; // wrapped, or no JSON at all
    }
  }
  return null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
