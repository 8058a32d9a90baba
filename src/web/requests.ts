/** The requests of the API as schemas: shapes and limits; what the fields mean is in model/delivery.ts. */
import { z } from "zod";
import { IN_DOUBT_POLICIES, MESSAGE_STATUSES, DELIVERY_STATES, PRIORITIES } from "../model/delivery.ts";

/** Longest of all names, addresses and header values: RFC 5322 §2.1.1 lines are 998, an encoded one is longer than what it says. */
const short = z.string().max(998);

const mailbox = z.union(
  [short, z.strictObject({ address: short, name: short.optional() })],
  'must be an address, "Name <address>", or {address, name}',
);

const attachment = z.strictObject({
  filename: z.string().min(1).max(255),
  contentType: z.string().min(1).max(255),
  data: z.base64().describe("Base64"),
});

const inlineImage = attachment.extend({
  filename: z.string().max(255).optional(),
  contentId: z.string().min(1).max(200).describe("What the HTML calls cid:…"),
});

const fields = z.record(z.string(), z.unknown());

const contentShape = {
  subject: z.string().max(4000).describe("Template"),
  html: z.string().optional().describe("Template"),
  amp: z.string().optional().describe("Template of an AMP document, for programs that show it"),
  text: z
    .union([z.string(), z.literal(false)], "must be a template, or false for none")
    .optional()
    .describe("Template; absent: made from the HTML; false: no text part"),
  toName: short.optional().describe("Display name of To, a template"),
  headers: z
    .union(
      [z.record(z.string(), z.string()), z.array(z.tuple([z.string(), z.string()])).max(100)],
      "must be an object or a list of [name, value]",
    )
    .optional()
    .describe("More headers; values are templates"),
  attachments: z.array(attachment).max(50).optional(),
  inlineImages: z.array(inlineImage).max(100).optional(),
  globals: fields.optional().describe("Variables of every recipient; a recipient's own win"),
};

const ISO_DURATION = /^P(?=.)(\d{1,4}W)?(\d{1,4}D)?(T(?=.)(\d{1,6}H)?(\d{1,6}M)?(\d{1,8}S)?)?$/;
const FORM = "must be seconds or an ISO 8601 duration such as PT36H";

/** A length of time in seconds, or as ISO 8601 (`P5D`, `PT36H`); comes out in seconds. */
const duration = z
  .union([z.number().int().min(1), z.string().regex(ISO_DURATION, FORM)], FORM)
  .transform((value) => (typeof value === "number" ? value : isoSeconds(value)))
  .refine((seconds) => seconds >= 60 && seconds <= 30 * 86_400, "must be between a minute and 30 days");

function isoSeconds(text: string): number {
  const unit = (letter: string, part: string): number => Number(new RegExp(`(\\d+)${letter}`).exec(part)?.[1] ?? 0);
  const [days = "", time = ""] = text.split("T");
  return (
    unit("W", days) * 604_800 +
    unit("D", days) * 86_400 +
    unit("H", time) * 3600 +
    unit("M", time) * 60 +
    unit("S", time)
  );
}

/** RFC 3339; comes out as epoch milliseconds. */
export const instant = z.iso
  .datetime({ offset: true, error: "must be a time as RFC 3339 writes it, with its offset" })
  .transform((text) => Date.parse(text));

const sendingShape = {
  from: mailbox,
  replyTo: mailbox.optional(),
  returnPathDomain: z.string().max(253).optional(),
  affinity: z.string().max(200).optional(),
  weight: z.number().int().min(1).max(100).default(1),
  notBefore: instant.optional(),
  notAfter: instant.optional(),
  validity: duration.optional(),
  retrySchedule: z
    .array(
      z
        .number()
        .int()
        .min(1)
        .max(7 * 86_400),
    )
    .min(1)
    .max(50)
    .optional()
    .describe("Seconds before try 2, 3, …; the last repeats"),
  inDoubt: z.enum(IN_DOUBT_POLICIES).default("retry"),
  listUnsubscribe: z
    .union([
      z.boolean(),
      z.strictObject({ url: z.string().max(2000).optional(), mailtoDomain: z.string().max(253).optional() }),
    ])
    .optional(),
  feedbackId: z.string().max(255).optional(),
  tracking: z
    .union(
      [
        z.boolean(),
        z.strictObject({
          clicks: z.boolean().optional().describe("Links of the HTML and AMP parts"),
          opens: z.boolean().optional().describe("The open pixel"),
          textLinks: z.boolean().default(false).describe("URLs of the text part too"),
          urlLabels: z.boolean().default(false).describe("Also links whose label is a URL"),
          anonymous: z.boolean().default(false).describe("No recipient in links and pixel"),
          trap: z.boolean().default(false).describe("A link nobody sees, to know machines by"),
          url: short.optional().describe("tracking.url of the settings, or one of tracking.domains"),
        }),
      ],
      "must be true, false, or an object",
    )
    .optional(),
};

export const content = z.strictObject(contentShape);
export type ContentRequest = z.output<typeof content>;

export const newDelivery = z.strictObject({
  name: z.string().max(200).default(""),
  content,
  ...sendingShape,
  priority: z.enum(PRIORITIES).default("normal"),
  recipients: z.array(fields).max(1000).optional().describe("As lines of an upload: address, and variables"),
  start: z.boolean().default(false),
});
export type NewDeliveryRequest = z.output<typeof newDelivery>;

export const newMessage = z.strictObject({
  to: mailbox,
  ...contentShape,
  ...sendingShape,
  priority: z.enum(PRIORITIES).default("transactional"),
  variables: fields.optional(),
});
export type NewMessageRequest = z.output<typeof newMessage>;

export const preview = z.strictObject({
  address: short,
  variables: fields.optional(),
});

export const reasoned = z.strictObject({ reason: z.string().max(500).default("") });

export const resolution = z.strictObject({ action: z.enum(["retry", "assume-sent"]) });

/** An id in an address. */
export const byId = z.strictObject({
  id: z
    .string()
    .regex(/^[0-9]{1,16}$/, "must be a number")
    .transform(Number),
});

export const limit = z
  .string()
  .regex(/^[0-9]{1,4}$/, "must be a number")
  .transform(Number)
  .pipe(z.number().min(1).max(1000))
  .prefault("100");
export const cursor = z
  .string()
  .regex(/^[0-9]{1,16}$/, "must be the nextCursor of an answer")
  .transform(Number)
  .prefault("0");

export const deliveryPage = z.strictObject({ cursor, limit, state: z.enum(DELIVERY_STATES).optional() });
export const messagePage = z.strictObject({
  cursor,
  limit,
  status: z.enum(MESSAGE_STATUSES).optional(),
  address: short.optional(),
});

export const text = z
  .string()
  .max(500)
  .regex(/^[^\p{Cc}]*$/u, "must be one line");

export const suppressionPage = z.strictObject({ cursor: short.default(""), limit, search: short.default("") });
export const byAddress = z.strictObject({ address: short });
export const newSuppression = z.strictObject({
  reason: text.min(1).default("manual"),
  source: text.default("api"),
  note: text.default(""),
  expiresAt: instant.nullable().default(null),
});
