/**
 * Debian's chromium, driven by playwright-core (its only importer), for what only a real browser can tell: whether a link leads there, whether a
 * policy lets a page be shown and no script run. It reaches loopback and nothing else, keeps nothing between tests, and everything it had to complain
 * about a page is written down. POSTILION_SCREENSHOTS=<folder> keeps what it saw.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium, type Page, type Response } from "playwright-core";

export type { Page, Response };

/** '' where there is none. */
export const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path)) ?? "";

export interface Visitor {
  readonly page: Page;
  /** Errors on the console (refused by a policy, among others) and of scripts. */
  readonly complaints: readonly string[];
  /** What the browser asked for beyond loopback; refused. */
  readonly outside: readonly string[];
  /** Takes a picture if pictures are wanted. */
  picture(name: string): Promise<void>;
  close(): Promise<void>;
}

export interface VisitorOptions {
  /** As in Accept-Language; default en-GB. */
  readonly locale?: string;
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
}

export interface TestBrowser {
  /** A person with a profile of their own. */
  visitor(options?: VisitorOptions): Promise<Visitor>;
  close(): Promise<void>;
}

const ARGUMENTS = [
  "--no-sandbox", // tests run as root too, and there chromium's own sandbox does not start
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const PICTURES = process.env["POSTILION_SCREENSHOTS"] ?? "";

export async function openTestBrowser(): Promise<TestBrowser> {
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: ARGUMENTS, timeout: 60_000 });
  return {
    async visitor({ locale = "en-GB", width = 900, height = 700, dark = false } = {}) {
      const context = await browser.newContext({
        locale,
        viewport: { width, height },
        colorScheme: dark ? "dark" : "light",
      });
      context.setDefaultTimeout(20_000);
      const complaints: string[] = [];
      const outside: string[] = [];
      await context.route(
        (url) => url.hostname !== "127.0.0.1",
        (route) => {
          outside.push(route.request().url());
          return route.abort();
        },
      );
      context.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      context.on("weberror", (error) => void complaints.push(error.error().message));
      const page = await context.newPage();
      return {
        page,
        complaints,
        outside,
        async picture(name) {
          if (PICTURES === "") return;
          mkdirSync(PICTURES, { recursive: true });
          await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
        },
        close: () => context.close(),
      };
    },
    close: () => browser.close(),
  };
}
