/** From a request to model Content and settings: everything that is wrong with it is collected, then told at once. */
import { createHash } from "node:crypto";
import type { TrackingSettings } from "../config/tracking-settings.ts";
import type { Content, ContentLink, DeliverySettings, Mailbox } from "../model/delivery.ts";
import { DEFAULT_RETRY_SCHEDULE, DEFAULT_VALIDITY } from "../model/delivery.ts";
import { Problem, type ProblemItem } from "../http/problem.ts";
import { domainRefusal, parseAddress, toAsciiDomain } from "../smtp/addresses.ts";
import { affinityRefusal } from "./affinity.ts";
import type { ContentRequest, NewDeliveryRequest } from "./requests.ts";
import { isDeeperThan, MOST_DEPTH } from "./intake/rows.ts";
import { readTracking } from "./tracking-request.ts";

/** What of the settings a delivery falls back to. */
export interface Defaults {
  readonly affinities: readonly string[];
  readonly returnPathDomain: string;
  readonly tracking: Pick<TrackingSettings, "url" | "domains" | "clicks" | "opens">;
  readonly contentLimitBytes: number;
}

/** What is wrong with a content beyond its shape (templates, headers, sizes of its parts), and its links: none where it is not tracked. */
export type CheckContent = (content: Content) => {
  readonly problems: readonly ProblemItem[];
  readonly links: readonly ContentLink[];
};

export interface Examined {
  readonly problems: readonly ProblemItem[];
  /** JSON of ContentLink[], null where the content is not tracked. */
  readonly links: string | null;
}

/** Of links as JSON. */
const MOST_REMEMBERED = 32 * 1024 * 1024;

/** Does not look again at what was found good before: a receipt is sent a thousand times with one content. Bounded. */
export function rememberGood(check: CheckContent): (content: Content, hash: Buffer) => Examined {
  const good = new Map<string, Examined>();
  let size = 0;
  return (content, hash) => {
    const key = hash.toString("base64");
    const known = good.get(key);
    if (known !== undefined) return known;
    const { problems, links } = check(content);
    const examined: Examined = { problems, links: content.tracking === undefined ? null : JSON.stringify(links) };
    if (problems.length > 0) return examined;
    if (good.size >= 10_000 || size > MOST_REMEMBERED) {
      good.clear();
      size = 0;
    }
    good.set(key, examined);
    size += examined.links?.length ?? 0;
    return examined;
  };
}

type Sending = Pick<
  NewDeliveryRequest,
  | "from"
  | "replyTo"
  | "returnPathDomain"
  | "affinity"
  | "weight"
  | "notBefore"
  | "notAfter"
  | "validity"
  | "retrySchedule"
  | "inDoubt"
  | "listUnsubscribe"
  | "feedbackId"
  | "priority"
  | "tracking"
>;

export interface Prepared {
  readonly settings: DeliverySettings;
  readonly content: Content;
  readonly contentBody: string;
  /** SHA-256 of contentBody. */
  readonly contentHash: Buffer;
  readonly contentLinks: string | null;
}

/** `prefix` is the path of the content in the request: `content.`, or '' for a single message. Throws Problem 400 or 413. */
export function prepare(
  request: Sending,
  given: ContentRequest,
  prefix: string,
  defaults: Defaults,
  check: ReturnType<typeof rememberGood>,
): Prepared {
  const errors: ProblemItem[] = [];
  const wrong = (path: string, message: string): void => void errors.push({ path, message });

  const from = readMailbox(request.from, "from", wrong);
  const replyTo = request.replyTo === undefined ? null : readMailbox(request.replyTo, "replyTo", wrong);
  const returnPathDomain = readDomain(request.returnPathDomain ?? defaults.returnPathDomain, "returnPathDomain", wrong);
  const affinity = request.affinity ?? defaults.affinities[0] ?? "default";
  const refused = affinityRefusal(affinity, defaults.affinities);
  if (refused !== "") wrong("affinity", refused);
  if (request.notBefore !== undefined && request.notAfter !== undefined && request.notAfter <= request.notBefore) {
    wrong("notAfter", "must be later than notBefore");
  }
  if ((given.html ?? "") === "" && (given.text === undefined || given.text === false || given.text === "")) {
    wrong(`${prefix}html`, "html or text must be there");
  }
  if (isDeeperThan(given.globals ?? {}, MOST_DEPTH)) wrong(`${prefix}globals`, `is nested deeper than ${MOST_DEPTH}`);

  const tracking = readTracking(request.tracking, defaults.tracking, prefix === "", wrong);
  const settings: DeliverySettings = {
    affinity,
    priority: request.priority,
    weight: request.weight,
    notBefore: request.notBefore ?? null,
    notAfter: request.notAfter ?? null,
    validity: request.validity ?? DEFAULT_VALIDITY,
    retrySchedule: request.retrySchedule ?? DEFAULT_RETRY_SCHEDULE,
    inDoubt: request.inDoubt,
  };
  if (errors.length > 0) throw refusal(errors);
  const content: Content = {
    subject: given.subject,
    html: given.html ?? "",
    ...(given.amp === undefined || given.amp === "" ? {} : { amp: given.amp }),
    text: given.text === false ? "" : (given.text ?? ""),
    textFromHtml: given.text === undefined,
    from,
    replyTo,
    toName: given.toName ?? "",
    headers:
      given.headers === undefined ? [] : Array.isArray(given.headers) ? given.headers : Object.entries(given.headers),
    attachments: [
      ...(given.inlineImages ?? []).map((image) => ({ ...image, filename: image.filename ?? image.contentId })),
      ...(given.attachments ?? []).map((attachment) => ({ ...attachment, contentId: "" })),
    ],
    globals: given.globals ?? {},
    returnPathDomain,
    listUnsubscribe: readUnsubscribe(request.listUnsubscribe, tracking?.url ?? defaults.tracking.url, returnPathDomain),
    feedbackId: request.feedbackId ?? "",
    ...(tracking === null ? {} : { tracking }),
  };
  const contentBody = JSON.stringify(content);
  const bytes = Buffer.byteLength(contentBody);
  if (bytes > defaults.contentLimitBytes) {
    throw new Problem(
      413,
      `the content has ${bytes} bytes, more than web.contentLimitBytes (${defaults.contentLimitBytes})`,
    );
  }
  const contentHash = createHash("sha256").update(contentBody).digest();
  const { problems, links } = check(content, contentHash);
  errors.push(...problems.map((item) => ({ ...item, path: place(item.path, prefix) })));
  if (errors.length > 0) throw refusal(errors);
  return { settings, content, contentBody, contentHash, contentLinks: links };
}

/** Fields of Content that a request has outside of its `content`. */
const OUTSIDE = ["from", "replyTo", "returnPathDomain", "listUnsubscribe", "feedbackId", "tracking"];

function place(path: string, prefix: string): string {
  return OUTSIDE.some((name) => path === name || path.startsWith(`${name}.`)) ? path : `${prefix}${path}`;
}

function refusal(errors: readonly ProblemItem[]): Problem {
  const first = errors[0]!;
  const where = first.line === undefined ? "" : ` (line ${first.line}, column ${first.column ?? 1})`;
  const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : "";
  return new Problem(400, `${first.path}: ${first.message}${where}${more}`, { errors });
}

type Wrong = (path: string, message: string) => void;

/** `a@b`, `Name <a@b>`, `"Name, of" <a@b>` or {address, name}. */
export function readMailbox(
  value: string | { address: string; name?: string | undefined },
  path: string,
  wrong: Wrong,
): Mailbox {
  let address: string;
  let name = "";
  if (typeof value === "string") {
    const angle = /^([^<>]*)<([^<>]*)>\s*$/.exec(value);
    address = (angle === null ? value : angle[2]!).trim();
    name = (angle?.[1] ?? "").trim();
    const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(name);
    if (quoted !== null) name = quoted[1]!.replace(/\\(.)/g, "$1");
  } else {
    address = value.address;
    name = value.name ?? "";
  }
  // What a header would take for its end; the renderer encodes everything else.
  if (/[\p{Cc}\u2028\u2029]/u.test(name)) wrong(path, "the name holds a control character");
  const parsed = parseAddress(address);
  if (typeof parsed === "string") {
    wrong(path, parsed);
    return { address: "", name };
  }
  return { address: parsed.address, name };
}

function readDomain(text: string, path: string, wrong: Wrong): string {
  const domain = toAsciiDomain(text);
  const refused = domainRefusal(domain);
  if (refused !== "") wrong(path, refused);
  return domain;
}

function readUnsubscribe(
  asked: NewDeliveryRequest["listUnsubscribe"],
  base: string,
  returnPathDomain: string,
): Content["listUnsubscribe"] {
  if (asked === undefined || asked === false) return null;
  const own = asked === true ? {} : asked;
  return {
    url: (own.url ?? base).replace(/\/+$/, ""),
    mailtoDomain: own.mailtoDomain ?? returnPathDomain,
  };
}
