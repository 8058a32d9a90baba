/** Settings of tracking: what mail is tracked with, the redirection server, and the workflow that pulls its log (sections `tracking`, `redirector`, `workflow`). */
import { z } from "zod";

const ms = (fallback: number, text: string, min = 0) => z.number().int().min(min).default(fallback).describe(text);
const count = (fallback: number, text: string, min = 1) => z.number().int().min(min).default(fallback).describe(text);

const BASE = /^(?:https?:\/\/[A-Za-z0-9.:[\]-]{1,255})?$/;
const base = z
  .string()
  .regex(BASE, "must be http(s)://host[:port] without a path, or empty")
  .refine((text) => text === "" || URL.canParse(text), "is no URL");
/** Of a server of ours: behind a proxy it may have a path. A user name would stand in logs. */
const server = z
  .string()
  .refine(
    (text) => text === "" || (/^https?:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?$/.test(text) && URL.canParse(text)),
    "must be http(s)://host[:port], perhaps with a path",
  );

export const trackingSettingsSchema = z
  .strictObject({
    url: base
      .default("")
      .describe(
        "Base address of the redirection server, https://t.example.com: links, opens, unsubscribing; empty: no tracking",
      ),
    domains: z
      .array(base)
      .default([])
      .describe(
        "More base addresses a delivery may ask for as tracking.url; all of them lead to the same redirection servers",
      ),
    clicks: z.boolean().default(true).describe("Track the links of a delivery that does not say"),
    opens: z.boolean().default(true).describe("Track opens of a delivery that does not say"),
    secretFile: z
      .string()
      .default("")
      .describe(
        "Secret that redirection servers share with web and workflow; empty: keys/tracking.secret under dataDir, made at first start",
      ),
  })
  .prefault({});

const certificate = z.strictObject({
  certFile: z.string().describe("Certificate with its chain (PEM); read again when it changes"),
  keyFile: z.string().describe("Its private key (PEM)"),
});

const CLIENT_ADDRESSES = ["full", "short", "none"] as const;

export const redirectorSettingsSchema = z
  .strictObject({
    run: z.boolean().default(true).describe("Run a redirection server on this machine when tracking.url is set"),
    host: z.string().default("127.0.0.1").describe("Address the redirection server listens on"),
    port: z.number().int().min(0).max(65535).default(8081).describe("Its port"),
    tls: z
      .array(certificate)
      .default([])
      .describe("Certificates to serve HTTPS with, chosen by the name asked for; empty: HTTP, behind a proxy"),
    trustedProxies: z
      .array(z.string())
      .default([])
      .describe("Addresses or networks (CIDR) whose X-Forwarded-For is believed"),
    folder: z.string().default("").describe("Tracking log and caches; empty: redirector under dataDir"),
    status: z
      .union([z.literal(302), z.literal(307)])
      .default(302)
      .describe("Status of a redirect"),
    clientAddress: z
      .enum(CLIENT_ADDRESSES)
      .default("short")
      .describe("What is kept of a reader's address: all of it, its network (/24, /48), nothing"),
    visitorCookie: z
      .boolean()
      .default(false)
      .describe("Set a cookie that tells visitors apart: what personClick and web tracking over sessions need"),
    strayVisits: z
      .boolean()
      .default(false)
      .describe(
        "Keep what /t is told by nobody knows whom, without a token or a session: whoever likes may say it, any number of times",
      ),
    segmentBytes: count(16 * 1024 * 1024, "The tracking log begins a new file after so many octets"),
    segmentMs: ms(3_600_000, "And after so long", 1000),
    logBytes: count(
      2 * 1024 * 1024 * 1024,
      "Most octets of the tracking log; what was pulled goes first, then, with an alarm, the oldest",
    ),
    keepMs: ms(7 * 86_400_000, "How long what was pulled is kept"),
    web: server
      .default("")
      .describe("Base address of the web module, for mirror pages and stops; empty: the one of this machine"),
    mirrorCacheBytes: count(256 * 1024 * 1024, "Most octets of cached mirror pages"),
    mirrorCacheMs: ms(86_400_000, "How long a cached mirror page is shown without asking again"),
    stopsMs: ms(30_000, "How often the list of stopped links is asked for", 10),
    pagesFolder: z
      .string()
      .default("")
      .describe("Your own pages: unsubscribe.html, unsubscribed.html, gone.html; empty: those that come along"),
  })
  .prefault({});

export const workflowSettingsSchema = z
  .strictObject({
    run: z
      .boolean()
      .default(true)
      .describe("Run the technical workflows on this machine; of several machines one does it at a time"),
    leaderMs: ms(10_000, "Lease of the machine that does it: another one takes over after it", 1000),
    redirectors: z
      .array(server.min(1))
      .default([])
      .describe("Redirection servers whose log is pulled, as base addresses; empty: the one of this machine"),
    pullRecords: count(10_000, "Most records of one pull"),
    pullWaitMs: ms(20_000, "How long a redirection server may wait with an empty answer"),
  })
  .prefault({});

export type TrackingSettings = z.output<typeof trackingSettingsSchema>;
export type RedirectorSettings = z.output<typeof redirectorSettingsSchema>;
