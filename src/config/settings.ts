/**
 * Every setting: its name, its default, one sentence. The example file, `postilion config show` and the README's table are made
 * from this schema (`config/describe.ts`), so they cannot disagree with it. Units are in the name (`Ms`, `Bytes`) or the sentence.
 */
import { z } from "zod";
import { affinityProblems } from "./affinities.ts";
import { inmailSettingsSchema } from "./inmail-settings.ts";
import { statSettingsSchema } from "./stat-settings.ts";
import { redirectorSettingsSchema, trackingSettingsSchema, workflowSettingsSchema } from "./tracking-settings.ts";

const ms = (fallback: number, text: string) => z.number().int().min(0).default(fallback).describe(text);
const count = (fallback: number, text: string, min = 1) => z.number().int().min(min).default(fallback).describe(text);

const database = z
  .strictObject({
    url: z
      .string()
      .default("")
      .describe("postgres://user:password@host:port/name; empty: an embedded PostgreSQL under dataDir"),
    port: z
      .number()
      .int()
      .min(0)
      .max(65535)
      .default(0)
      .describe("Port of the embedded PostgreSQL on 127.0.0.1; 0: a free one"),
    poolSize: count(8, "Connections each process keeps to the database"),
  })
  .prefault({});

const web = z
  .strictObject({
    host: z.string().default("127.0.0.1").describe("Address the HTTP API listens on"),
    port: z.number().int().min(0).max(65535).default(8080).describe("Port of the HTTP API"),
    bodyLimitBytes: count(
      32 * 1024 * 1024,
      "Largest body of a JSON request (recipient uploads are streamed and have no limit)",
    ),
    contentLimitBytes: count(20 * 1024 * 1024, "Largest content of a delivery, attachments included"),
    variablesLimitBytes: count(64 * 1024, "Largest variables of one recipient"),
    uploads: count(4, "Recipient uploads at once; more are answered 429"),
    requestsPerSecond: count(200, "Requests a token may make per second, averaged; more are answered 429"),
  })
  .prefault({});

const dns = z
  .strictObject({
    servers: z
      .array(z.string())
      .default([])
      .describe("Resolvers as address or address:port; empty: those of the system"),
    timeoutMs: ms(5000, "Time for one query"),
    tries: count(4, "Tries a query gets"),
    cacheMs: ms(300_000, "How long an answer is kept"),
    negativeCacheMs: ms(60_000, "How long 'no such domain' is kept"),
    prefer: z
      .enum(["ipv4", "ipv6", "ipv4-only", "ipv6-only"])
      .default("ipv4")
      .describe("Which addresses of an exchanger are tried first"),
    trustAd: z
      .boolean()
      .default(false)
      .describe(
        "Trust the resolver's word that an answer was validated (AD), which switches DANE on: only for a validating resolver on this machine or over a path nobody else can write to",
      ),
  })
  .prefault({});

const smtp = z
  .strictObject({
    port: z.number().int().min(1).max(65535).default(25).describe("Port of the remote exchangers"),
    privateAddresses: z
      .boolean()
      .default(false)
      .describe("Deliver to exchangers at private, loopback and reserved addresses too; a relay may always be at one"),
    connectMs: ms(30_000, "Time to open a TCP connection"),
    bannerMs: ms(300_000, "RFC 5321 §4.5.3.2.1: initial 220"),
    ehloMs: ms(300_000, "Answer to EHLO, STARTTLS and AUTH, and the TLS handshake"),
    mailMs: ms(300_000, "RFC 5321 §4.5.3.2.2: answer to MAIL"),
    rcptMs: ms(300_000, "RFC 5321 §4.5.3.2.3: answer to RCPT"),
    dataMs: ms(120_000, "RFC 5321 §4.5.3.2.4: answer to DATA"),
    blockMs: ms(180_000, "RFC 5321 §4.5.3.2.5: each block of the message taken by the peer"),
    dotMs: ms(600_000, "RFC 5321 §4.5.3.2.6: answer to the final dot; shorter values cause duplicates"),
    idleMs: ms(5_000, "How long an idle session is kept for the next message"),
    chunking: z.boolean().default(true).describe("Use BDAT (RFC 3030) where it is offered"),
    pipelineDepth: count(
      2,
      "Messages in flight on a session that has CHUNKING; all of them are in doubt when it breaks",
    ),
    dsn: z
      .enum(["never", "off"])
      .default("off")
      .describe("never: ask NOTIFY=NEVER where DSN (RFC 3461) is offered, so that no bounce mail is made"),
  })
  .prefault({});

const ip = z.strictObject({
  address: z.string().default("").describe("Local address to send from; empty: the system chooses"),
  publicId: z.number().int().min(0).default(0).describe("Number of the public IP: the key of every quota"),
  weight: z.number().min(0).default(1).describe("Share of this IP among those of the affinity"),
  helo: z.string().default("").describe("EHLO name of this IP; empty: mta.helo"),
  includeDomains: z
    .array(z.string())
    .default([])
    .describe("Masks over recipient domains: this IP is used for these only; empty: for all"),
  excludeDomains: z.array(z.string()).default([]).describe("Masks over recipient domains this IP is not used for"),
});

const relay = z
  .strictObject({
    host: z
      .string()
      .default("")
      .describe("Smart host all mail goes to; empty: deliver to the exchangers of each domain"),
    port: z.number().int().min(1).max(65535).default(25).describe("Its port"),
    user: z.string().default("").describe("User for AUTH PLAIN or LOGIN; empty: no AUTH"),
    password: z
      .string()
      .default("")
      .meta({ secret: true, description: "Password for AUTH; only ever sent over TLS unless insecureAuth" }),
    insecureAuth: z.boolean().default(false).describe("Send the password without TLS too"),
  })
  .prefault({});

const mta = z
  .strictObject({
    processes: count(1, "mta processes on this machine"),
    threads: z
      .number()
      .int()
      .min(0)
      .default(0)
      .describe("Threads of a process that personalise and sign; 0: one a core"),
    helo: z.string().default("").describe("EHLO name; empty: the host name"),
    partSize: count(500, "Recipients of a part: what is claimed and recorded together"),
    window: count(4000, "Messages a process holds claimed in memory"),
    leaseMs: ms(60_000, "How long a claim lasts without renewal; a dead machine's parts return after it"),
    sessions: count(1000, "SMTP sessions of a process"),
    batch: count(48, "Messages a thread renders in one task"),
    verifyMode: z
      .boolean()
      .default(false)
      .describe("Do everything but open an SMTP session; every message counts as sent"),
    fairness: z
      .strictObject({
        transactional: count(64, "Turns of class transactional while all classes have work"),
        high: count(8, "Turns of class high"),
        normal: count(4, "Turns of class normal"),
        low: count(1, "Turns of class low"),
      })
      .prefault({}),
    smtp,
    dns,
    relay,
    affinities: z
      .array(
        z.strictObject({ name: z.string().describe("What a delivery names"), ips: z.array(ip).min(1).prefault([{}]) }),
      )
      .min(1)
      .superRefine((affinities, context) => {
        for (const { path, text } of affinityProblems(affinities))
          context.addIssue({ code: "custom", path: [...path], message: text });
      })
      .prefault([{ name: "default" }])
      .describe("Named sets of outgoing IPs"),
    journalSync: z
      .boolean()
      .default(false)
      .describe(
        "fdatasync the journal before each dot; without it a power cut (not a crash) puts everything unrecorded in doubt",
      ),
  })
  .prefault({});

const watchdog = z
  .strictObject({
    readyMs: ms(60_000, "How long a module may take until it is ready; then it is started anew"),
    drainMs: ms(30_000, "How long a module may take to finish its work after SIGTERM; then it is killed"),
  })
  .prefault({});

const dkim = z.strictObject({
  domain: z.string().describe("Signing domain (d=); mail From this domain or below it is signed"),
  selector: z.string().describe("Selector (s=)"),
  keyFile: z.string().describe("PEM file with the private key: RSA or Ed25519"),
});

export const settingsSchema = z.strictObject({
  dataDir: z
    .string()
    .default("./var")
    .describe("Where the appliance keeps its files: embedded database, journals, keys"),
  machine: z.string().default("").describe("Name of this machine in leases and events; empty: the host name"),
  log: z
    .strictObject({
      level: z
        .enum(["trace", "debug", "info", "warn", "error"])
        .default("info")
        .describe("Least severe level that is written"),
      pretty: z
        .enum(["auto", "always", "never"])
        .default("auto")
        .describe("Coloured lines on a terminal, JSON elsewhere"),
    })
    .prefault({}),
  database,
  web,
  mta,
  stat: statSettingsSchema,
  inmail: inmailSettingsSchema,
  watchdog,
  dkim: z.array(dkim).default([]).describe("Signing keys; every key whose domain matches signs"),
  returnPathDomain: z.string().default("bounces.localhost").describe("Default domain of the envelope sender"),
  tracking: trackingSettingsSchema,
  redirector: redirectorSettingsSchema,
  workflow: workflowSettingsSchema,
  tokenKeyFile: z
    .string()
    .default("")
    .describe("Keys that sign tokens; empty: keys/token.json under dataDir, made at first start"),
});

/** All settings, complete: every default is in. */
export type Settings = z.output<typeof settingsSchema>;
export type MtaSettings = Settings["mta"];
export type SmtpSettings = MtaSettings["smtp"];
export type DnsSettings = MtaSettings["dns"];
export type WebSettings = Settings["web"];

/** Settings with every default in place, for tests and for a machine without a file. Throws ZodError. */
export function parseSettings(input: unknown): Settings {
  return settingsSchema.parse(input ?? {});
}

/** The schema as JSON Schema: names, types, defaults, sentences. What `config/describe.ts` reads. */
export function settingsJsonSchema(): unknown {
  return z.toJSONSchema(settingsSchema, { io: "input" });
}

/** One thing that is wrong with given settings. */
export interface SettingsProblem {
  /** Names and array indexes from the root. */
  readonly path: readonly (string | number)[];
  /** The name nobody knows, when that is the problem; else ''. */
  readonly unknown: string;
  readonly text: string;
}

/** The complete settings, or everything that is wrong with the given ones. */
export function checkSettings(input: unknown): { settings: Settings } | { problems: SettingsProblem[] } {
  const result = settingsSchema.safeParse(input);
  if (result.success) return { settings: result.data };
  const problems = result.error.issues.flatMap((issue): SettingsProblem[] => {
    const path = issue.path.map((step) => (typeof step === "number" ? step : String(step)));
    if (issue.code !== "unrecognized_keys") return [{ path, unknown: "", text: issue.message }];
    return issue.keys.map((key) => ({ path: [...path, key], unknown: key, text: "no such setting" }));
  });
  return { problems };
}
