/**
 * User agents that tell a machine, or a provider's proxy (the field is what a stranger wrote: whoever wants to pass for a browser does, so these
 * rules find the honest ones). The first that matches counts; what matches none may be a person.
 *
 * Every pattern is a list of plain words without repetition: the time it takes is in proportion to the text, whatever somebody sends.
 */
import type { VisitorRule } from "./visitor-rule.ts";

export interface AgentRule extends VisitorRule {
  readonly pattern: RegExp;
}

export const AGENT_RULES: readonly AgentRule[] = [
  {
    id: "no-agent",
    class: "scanner",
    text: "the request named no user agent, which every browser and mail program does",
    source: "RFC 9110 §10.1.5: a user agent should send one",
    pattern: /^\s*$/,
  },
  {
    id: "apple-privacy",
    class: "prefetch",
    text: "Apple Mail Privacy Protection fetched it, whether anybody looked at the mail or not",
    source:
      "Apple proxies send Mozilla/5.0 and nothing else: wordtothewise.com/2021/09/apple-mpp, help.socketlabs.com (2021–2025)",
    pattern: /^Mozilla\/5\.0$/,
  },
  {
    id: "gmail-prefetch",
    class: "prefetch",
    text: "Gmail fetched it while the reader's mailbox was open, before the mail was looked at",
    source: "bird.com/blog/gmail-prefetching-images: this user agent, from Google's addresses",
    pattern: / Chrome\/42\.0\.2311\.135 Safari\/537\.36 Edge\/12\.246 Mozilla\/5\.0$/,
  },
  {
    id: "gmail-proxy",
    class: "proxy",
    text: "Gmail's image proxy fetched it for a reader who opened the mail",
    source: "support.google.com/mail/answer/145919; the proxy names itself in its user agent",
    pattern: /GoogleImageProxy/,
  },
  {
    id: "yahoo-proxy",
    class: "proxy",
    text: "Yahoo Mail's image proxy fetched it for a reader who opened the mail",
    source: "help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html; the proxy names itself in its user agent",
    pattern: /YahooMailProxy/,
  },
  {
    id: "microsoft-preview",
    class: "prefetch",
    text: "a Microsoft program looked whether the link is there, or made a preview of it",
    source:
      "learn.microsoft.com: Office existence discovery; bing.com/webmasters: BingPreview, MicrosoftPreview; Skype and Teams URI preview",
    pattern:
      /Microsoft Office (?:Existence|Protocol) Discovery|Microsoft-WebDAV|BingPreview|MicrosoftPreview|SkypeUriPreview|Microsoft URL Control/i,
  },
  {
    id: "security-agent",
    class: "scanner",
    text: "a mail security product checked the link; it names itself",
    source:
      "names of mail security products and scanners; guides to their link checks list them (check.live-direct-marketing.online/blog/bot-clicks-security-scanners-detect)",
    pattern:
      /Barracuda|Proofpoint|Mimecast|MessageLabs|Symantec|Trend ?Micro|TMES|FireEye|Trellix|Forcepoint|Websense|Sophos|Fortinet|FortiMail|FortiGuard|Cisco(?:Secure|-IronPort)|IronPort|Cloudmark|Vade ?Secure|Zscaler|CheckPhish|Netcraft|urlscan|VirusTotal|Google-Safety|SafeBrowsing|PhishTank|McAfee|Kaspersky|Avast|Bitdefender|Palo ?Alto|Cortex-Xpanse|Censys|ZGrab|Nessus|Nikto|Nmap/i,
  },
  {
    id: "link-preview",
    class: "prefetch",
    text: "a chat or social network made a preview of the link where somebody passed it on",
    source: "the user agents these services document for their previews",
    pattern:
      /facebookexternalhit|Slackbot|Slack-ImgProxy|Twitterbot|LinkedInBot|Discordbot|TelegramBot|WhatsApp\/|Google-Read-Aloud|Iframely|Embedly|redditbot|Mastodon|Pinterest(?:bot|\/)|vkShare|Viber/i,
  },
  {
    id: "automated-browser",
    class: "scanner",
    text: "a browser without a screen, driven by a program",
    source: "the names these tools put into their user agents",
    pattern: /HeadlessChrome|PhantomJS|SlimerJS|Selenium|Puppeteer|Playwright|Splash|Electron\/.*Nightmare/i,
  },
  {
    id: "library",
    class: "scanner",
    text: "a programming library or command line tool, not a browser",
    source: "the default user agents of these libraries, in their documentation",
    pattern:
      /^(?:curl|Wget|libcurl|HTTPie|python|aiohttp|httpx|urllib|Go-http-client|Java|okhttp|Apache-HttpClient|Apache-HttpAsyncClient|Jakarta|Jersey|Reactor|axios|node|undici|got|superagent|libwww-perl|LWP|WWW-Mechanize|Ruby|Faraday|rest-client|Typhoeus|PHP|Guzzle|Symfony|PostmanRuntime|insomnia|Scrapy|reqwest|hyper|WinHttp|WinINet|PowerShell|Dart|C#|RestSharp|HttpClient|http-client|Embarcadero|Indy|lua-resty|Deno|Bun)(?![a-z])|WindowsPowerShell/i,
  },
  {
    id: "robot",
    class: "scanner",
    text: "a robot by its own word",
    source: "the habit of robots to say so: bot, crawler, spider, scanner, monitor",
    // CUBOT is a maker of telephones.
    pattern:
      /(?<!\bcu)bots?(?![a-z])|crawl(?:er|ing)|spider|scraper|\bscanner|link ?check|url ?check|validator|monitor(?:ing)?[/ ]|archiver|feedfetcher|pingdom|uptime/i,
  },
];
