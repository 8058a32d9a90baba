/** Settings of the statistics server and of whoever asks it: section `stat` of the settings (config/settings.ts). */
import { z } from "zod";
import { maskProblem } from "../model/mask.ts";
import { PACINGS, SCOPES, TLS_MODES } from "../model/traffic.ts";

const ms = (fallback: number, text: string) => z.number().int().min(0).default(fallback).describe(text);
const limit = (text: string) => z.number().int().min(0).optional().describe(text);

/** A rule as it is written, here and in rule files: what is not given comes from the rule of the same id under it, then from the defaults. */
export const mxRuleSchema = z.strictObject({
  id: z.string().min(1).optional().describe("Name of the rule; the first mask when not given"),
  mx: z
    .union([z.string(), z.array(z.string()).min(1)])
    .optional()
    .describe("Masks over the exchanger's name, with * and ?"),
  publicIds: z
    .union([z.string(), z.number().int().min(0)])
    .optional()
    .describe("A public id, or a range n1-n2, or all; all when not given"),
  scope: z
    .enum(SCOPES)
    .optional()
    .describe("Who shares the limits: a path (outgoing IP × exchanger IP), an outgoing IP, or all of the rule"),
  connections: z.number().int().min(1).optional().describe("Connections at once"),
  messagesPerConnection: z.number().int().min(1).optional().describe("Messages on one connection, then it is closed"),
  messagesPerMinute: limit("Attempts a minute; 0: no limit"),
  messagesPerHour: limit("Attempts an hour, in twelve periods of five minutes; 0: no limit"),
  messagesPerDay: limit("Attempts a day (UTC); 0: no limit"),
  bytesPerSecond: limit("Octets a second; 0: no limit"),
  pacing: z
    .enum(PACINGS)
    .optional()
    .describe(
      "periods: as fast as possible inside a period; smooth: evenly, what is not used in a second is not caught up",
    ),
  tls: z.enum(TLS_MODES).optional().describe("STARTTLS: use it if it works, insist on a valid certificate, or never"),
  connectMs: limit("Time to connect; 0: mta.smtp.connectMs"),
  dataMs: limit("Time for the answer to the final dot; 0: mta.smtp.dotMs"),
  replyMs: limit("Time for every other answer; 0: those of mta.smtp"),
  note: z.string().optional().describe("Why, for people"),
});

const warmUp = z.strictObject({
  publicId: z.number().int().min(0).describe("The public id that is warmed up"),
  mx: z
    .string()
    .superRefine((mask, context) => {
      // One that matches nothing would let a new IP send as if it were warm.
      const problem = maskProblem(mask);
      if (problem !== "") context.addIssue({ code: "custom", message: `${JSON.stringify(mask)} ${problem}` });
    })
    .default("*")
    .describe("Mask over the exchanger's name: each mask has its own count"),
  plan: z
    .array(z.number().int().min(1))
    .min(1)
    .default([50, 100, 250, 500, 1000, 2500, 5000, 10_000, 20_000, 40_000, 75_000, 100_000])
    .describe("Messages on the first, second, … sending day; afterwards the IP is warm"),
  pauseAt: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("Share of deferred and rejected messages of a day (of at least 50) at which it stops for the day"),
});

export const statSettingsSchema = z
  .strictObject({
    run: z.boolean().default(true).describe("Run a statistics server on this machine"),
    host: z.string().default("127.0.0.1").describe("Address the statistics server listens on"),
    port: z.number().int().min(0).max(65535).default(7777).describe("Its TCP port"),
    addresses: z
      .array(z.string())
      .default([])
      .describe("Statistics servers as host:port, all of them on every machine; empty: the one of this machine"),
    secretFile: z
      .string()
      .default("")
      .describe("Secret that machines and servers share; empty: keys/stat.secret under dataDir, made at first start"),
    tls: z
      .strictObject({
        certFile: z.string().default("").describe("Certificate of the server (PEM); empty: no TLS"),
        keyFile: z.string().default("").describe("Its private key (PEM)"),
        caFile: z
          .string()
          .default("")
          .describe("Authority the clients trust (PEM); empty: no TLS unless certFile is given, then the system's"),
      })
      .prefault({}),
    rulesFile: z
      .string()
      .default("")
      .describe("Your MX rules, over those of ops/rules/mx.yaml; empty: rules/mx.yaml under dataDir if it is there"),
    repliesFile: z
      .string()
      .default("")
      .describe("Your rules on replies, over ops/rules/replies.yaml; empty: rules/replies.yaml under dataDir"),
    rules: z.array(mxRuleSchema).default([]).describe("MX rules before those of all files"),
    horizonMs: ms(300_000, "How long a machine goes on by its share when no statistics server answers"),
    snapshotMs: ms(5000, "How often the server saves its counters"),
    leaderMs: ms(5000, "Lease of the leading server: another one takes over after it"),
    breaker: z
      .strictObject({
        errors: z.number().min(0).max(1).default(0.9).describe("Share of errors at which a site is stopped"),
        messages: z.number().int().min(1).default(300).describe("Of at least so many attempts"),
        windowMs: ms(3_600_000, "Within this time"),
        stopMs: ms(10_800_000, "For so long"),
      })
      .prefault({}),
    warmUp: z
      .array(warmUp)
      .superRefine((plans, context) => {
        const known = new Set<string>();
        plans.forEach(({ publicId, mx }, i) => {
          if (known.has(`${publicId} ${mx}`))
            context.addIssue({ code: "custom", path: [i, "mx"], message: "there is another plan for it above" });
          known.add(`${publicId} ${mx}`);
        });
      })
      .default([])
      .describe("Public ids that are being warmed up"),
  })
  .prefault({});

export type MxRuleText = z.output<typeof mxRuleSchema>;
export type StatSettings = z.output<typeof statSettingsSchema>;
/** What a statistics server takes over while it runs; everything else in the settings takes a restart. */
export const RELOADED = [
  "rules",
  "rulesFile",
  "repliesFile",
  "breaker",
  "warmUp",
] as const satisfies readonly (keyof StatSettings)[];
export type WarmUpSettings = StatSettings["warmUp"][number];
