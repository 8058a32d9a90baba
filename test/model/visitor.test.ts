/** Person or machine: what is known of real browsers, mail programs, proxies and scanners, and hostile ones. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { TrackingKind } from "../../src/model/tracking.ts";
import {
  agentRule,
  classify,
  EARLY_MS,
  type Hit,
  networkRule,
  ruleText,
  VISITOR_RULES,
} from "../../src/model/visitor.ts";
import { AGENT_RULES } from "../../src/model/visitor-agents.ts";
import { NETWORK_RULES } from "../../src/model/visitor-networks.ts";

const CHROME =
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
const AT = Date.UTC(2026, 4, 3, 10);

const judge = (over: Partial<Omit<Hit, "agent" | "network">> & { agent?: string; ip?: string } = {}): string => {
  const { agent = CHROME, ip = "", ...rest } = over;
  const made = classify({
    kind: "click",
    method: "GET",
    hint: "",
    at: AT,
    sentAt: 0,
    agent: agentRule(agent),
    network: networkRule(ip),
    ...rest,
  });
  return made.id === "" ? made.class : `${made.class} ${made.id}`;
};

describe("a user agent", () => {
  test.each([
    [CHROME, "person"],
    ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)", "person"],
    [
      "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
      "person",
    ],
    ["Mozilla/4.0 (compatible; ms-office; MSOffice 16)", "person"],
    ["Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)", "person"],
    ["Outlook-iOS/723.3.0", "person"],
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0", "person"],
    ["Mozilla/5.0 (Linux; Android 14; CUBOT X70) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36", "person"],
    ["Dalvik/2.1.0 (Linux; U; Android 14; SM-S911B)", "person"],
    ["Opera/9.80 (J2ME/MIDP; Opera Mini)", "person"],
    ["Mozilla/5.0", "prefetch apple-privacy"],
    ["Mozilla/5.0 ", "person"],
    ["Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)", "proxy gmail-proxy"],
    [
      "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0",
      "prefetch gmail-prefetch",
    ],
    ["YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", "proxy yahoo-proxy"],
    ["Microsoft Office Existence Discovery", "prefetch microsoft-preview"],
    ["Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5", "prefetch microsoft-preview"],
    ["Barracuda Sentinel (EE)", "scanner security-agent"],
    ["Mozilla/5.0 (compatible; Proofpoint URL Defense)", "scanner security-agent"],
    ["Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", "prefetch link-preview"],
    ["WhatsApp/2.23.20.0 A", "prefetch link-preview"],
    ["Mozilla/5.0 (X11) AppleWebKit/537.36 HeadlessChrome/120.0 Safari/537.36", "scanner automated-browser"],
    ["curl/8.5.0", "scanner library"],
    ["python-requests/2.32.3", "scanner library"],
    ["Python-urllib/3.11", "scanner library"],
    ["Go-http-client/2.0", "scanner library"],
    ["Java/17.0.1", "scanner library"],
    ["okhttp/4.12.0", "scanner library"],
    ["node", "scanner library"],
    ["Googlebot/2.1 (+http://www.google.com/bot.html)", "scanner robot"],
    ["Mozilla/5.0 (compatible; SomeNewBot/1.0)", "scanner robot"],
    ["", "scanner no-agent"],
    ["  ", "scanner no-agent"],
  ])("%s: %s", (agent, made) => expect(judge({ agent })).toBe(made));
});

describe("the rest of a request", () => {
  test.each<[string, Parameters<typeof judge>[0], string]>([
    ["HEAD", { method: "HEAD" }, "scanner head"],
    ["HEAD by a proxy", { method: "HEAD", agent: "GoogleImageProxy" }, "scanner head"],
    ["the trap, before anything else", { hint: "trap", method: "HEAD", agent: "Mozilla/5.0" }, "scanner trap"],
    ["a browser that fetches ahead", { hint: "prefetch" }, "prefetch prefetch-header"],
    [
      "unsubscribing counts, whoever does it",
      { kind: "unsubscribe", agent: "curl/8", method: "POST", hint: "one-click" },
      "person",
    ],
    ["before it was sent", { at: AT, sentAt: AT + 60_000 }, "scanner early"],
    ["a second after it was sent", { at: AT, sentAt: AT - 1000 }, "scanner early"],
    ["later", { at: AT, sentAt: AT - EARLY_MS }, "person"],
    ["a proxy at once", { at: AT, sentAt: AT - 1, kind: "open", agent: "GoogleImageProxy" }, "prefetch early-proxy"],
    ["a proxy later", { at: AT, sentAt: AT - 10_000, kind: "open", agent: "GoogleImageProxy" }, "proxy gmail-proxy"],
    ["a library at once is a library", { at: AT, sentAt: AT - 1, agent: "curl/8" }, "scanner library"],
  ])("%s", (_, hit, made) => expect(judge(hit)).toBe(made));
});

describe("an address", () => {
  test.each<[string, TrackingKind, string]>([
    ["17.58.3.4", "open", "prefetch apple-network"],
    ["17.58.3.0", "open", "prefetch apple-network"],
    ["17.58.3.0", "click", "person"],
    ["64.235.150.0", "click", "scanner security-network"],
    ["40.94.1.0", "click", "scanner data-centre"],
    ["40.107.1.0/24", "click", "scanner security-network"],
    ["3.120.0.1", "open", "scanner data-centre"],
    ["2a01:4f8:aaaa::", "click", "scanner data-centre"],
    ["203.0.113.0", "click", "person"],
    ["", "click", "person"],
    ["no address", "click", "person"],
  ])("%s, %s: %s", (ip, kind, made) => expect(judge({ ip, kind })).toBe(made));

  test("of a data centre does not outweigh a proxy's name", () =>
    expect(judge({ ip: "34.100.0.0", kind: "open", agent: "GoogleImageProxy" })).toBe("proxy gmail-proxy"));
});

describe("the tables", () => {
  test("have ids that can be kept, a sentence and a source each; one id has one class and one sentence", () => {
    for (const { id, text, source, class: made } of VISITOR_RULES) {
      expect(id).toMatch(/^(?:[a-z]+(?:-[a-z]+)*)?$/);
      expect(text).not.toBe("");
      expect(source === "").toBe(id === "");
      expect(ruleText(id)).toBe(text);
      expect(new Set(VISITOR_RULES.filter((one) => one.id === id).map((one) => one.class))).toEqual(new Set([made]));
    }
    expect(ruleText("of another version")).toBe("");
  });

  test("are in ops/tracking.md, each with its class, sentence and sources", () => {
    const rows = [...Map.groupBy(VISITOR_RULES, ({ id }) => id)]
      .filter(([id]) => id !== "")
      .map(([id, [first, ...more]]) => {
        const sources = [first!, ...more].map(({ source }) => source).join("; ");
        return `| \`${id}\` | ${first!.class} | ${first!.text} | ${sources} |`;
      });
    const page = readFileSync(join(import.meta.dirname, "../../ops/tracking.md"), "utf8");
    const table = page.slice(page.indexOf("<!-- rules"), page.indexOf("<!-- end of rules"));
    expect(table.split("\n").slice(3, -1)).toEqual(rows);
  });

  test("no pattern has anything that repeats but for single classes of characters", () => {
    for (const { pattern } of AGENT_RULES) expect(pattern.source).not.toMatch(/[+*)\]][+*]|\)\{/);
  });

  test("no block is smaller than a shortened address", () => {
    for (const network of NETWORK_RULES.flatMap(({ networks }) => networks)) {
      const length = Number(network.split("/")[1]);
      expect(length, network).toBeLessThanOrEqual(network.includes(":") ? 48 : 24);
      expect(networkRule(network), network).not.toBeNull();
    }
  });
});
