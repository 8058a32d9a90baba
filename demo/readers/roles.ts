/** What each kind of reader does with a letter, second by second. Most are people; some are machines, and must be known for such. */
import { sleep } from "../../src/base/clock.ts";
import {
  APPLE,
  APPLE_PROXY,
  BROWSERS,
  GMAIL_PROXY,
  GOOGLE,
  household,
  SECURITY_PRODUCT,
  YAHOO,
  YAHOO_PROXY,
} from "./agents.ts";
import type { Program } from "./browse.ts";
import type { Reader } from "./reader.ts";
import type { Role } from "./who.ts";

/** `draw(n)`: this reader's next number below n. */
type Script = (reader: Reader, self: Program, draw: (below: number) => number) => Promise<void>;

const PEOPLE = { who: "people" } as const;
const MACHINES = { who: "machines" } as const;

/** Of real ones some seconds, shortened; more than half a second, which nobody needs to read what is between two links. */
const thinks = (draw: (below: number) => number): Promise<void> => sleep(700 + draw(900));
/** Not all at once. */
const finds = (draw: (below: number) => number): Promise<void> => sleep(draw(1500));

const SCRIPTS: Readonly<Record<Role, Script>> = {
  opens: async (reader, self, draw) => {
    await finds(draw);
    await reader.open(self, PEOPLE);
  },
  "opens twice": async (reader, self, draw) => {
    await finds(draw);
    await reader.open(self, PEOPLE);
    await thinks(draw);
    await reader.open(self, { ...PEOPLE, counts: false });
  },
  "clicks one link": async (reader, self, draw) => {
    await finds(draw);
    await reader.open(self, PEOPLE);
    // Some at once, some have read.
    if (draw(2) === 0) await thinks(draw);
    await reader.click(self, one(reader, draw), PEOPLE);
  },
  "clicks two links": async (reader, self, draw) => {
    await finds(draw);
    await reader.open(self, PEOPLE);
    await reader.click(self, one(reader, draw), PEOPLE);
    await thinks(draw);
    await reader.click(self, one(reader, draw), PEOPLE);
  },
  "uses Apple Mail": async (reader, self, draw) => {
    // Its pictures are fetched as soon as the letter is there; the reader comes to it later, or never.
    await reader.open({ agent: APPLE_PROXY, address: APPLE }, MACHINES);
    if (draw(3) > 0) return;
    await finds(draw);
    await reader.click(self, one(reader, draw), PEOPLE);
  },
  "reads at Gmail": async (reader, self, draw) => {
    await finds(draw);
    await reader.open({ agent: GMAIL_PROXY, address: GOOGLE }, PEOPLE);
    if (draw(2) === 0) return;
    await thinks(draw);
    await reader.click(self, one(reader, draw), PEOPLE);
  },
  "reads at Yahoo": async (reader, _self, draw) => {
    await finds(draw);
    await reader.open({ agent: YAHOO_PROXY, address: YAHOO }, PEOPLE);
  },
  "opens the mirror page": async (reader, self, draw) => {
    await finds(draw);
    await reader.mirror(self, "people");
  },
  "unsubscribes at the page": async (reader, self, draw) => {
    await finds(draw);
    await reader.lookAtUnsubscribing(self);
    const page = { ...self, headers: { "sec-fetch-mode": "navigate", "sec-fetch-site": "same-origin" } };
    const form = { type: "application/x-www-form-urlencoded", text: "page=1" };
    const url = reader.letter.links.find((href) => href.includes("/u/")) ?? "";
    await reader.unsubscribe(page, url, form, true);
    // Who is impatient presses twice.
    if (draw(2) === 0) await reader.unsubscribe(page, url, form, false);
  },
  "unsubscribes by Gmail's button": (reader) =>
    reader.unsubscribe({ agent: "", address: GOOGLE }, reader.letter.oneClick, URLENCODED, true),
  "unsubscribes by Yahoo's button": (reader) =>
    reader.unsubscribe({ agent: "YMail", address: YAHOO }, reader.letter.oneClick, MULTIPART, true),
  scanner: async (reader, self) => {
    const clicks = reader.clickable;
    await Promise.all([reader.open(self, MACHINES), reader.mirror(self, "machines"), reader.lookAtUnsubscribing(self)]);
    await Promise.all(clicks.map((at) => reader.click(self, at, { ...MACHINES, method: "HEAD" })));
    await Promise.all(clicks.map((at) => reader.click(self, at, MACHINES)));
  },
  "security product": async (reader, { address }) => {
    const product = { agent: SECURITY_PRODUCT, address };
    await Promise.all([...reader.clickable.map((at) => reader.click(product, at, MACHINES)), reader.trap(product)]);
  },
  "tampers with links": async (reader, self, draw) => {
    const { href } = one(reader, draw);
    const [, start = "", token = "", link = ""] = /^(.*\/r\/)([^/]+)\/(.*)$/.exec(href) ?? [];
    const wrong = [
      `${start}${token}/${swapped(link, 20)}`,
      `${start}${token}/${swapped(link, link.length - 2)}`,
      `${start}${swapped(token, 12)}/${link}`,
      `${start}${token}/${link.slice(0, -6)}`,
      `${start}${token}//evil.example/`,
      `${start}${token}/https://evil.example/`,
    ];
    for (const url of wrong) await reader.tamper(self, url);
  },
};

// RFC 8058 §3.1 allows both; each is what one of the large providers sends.
const URLENCODED = { type: "application/x-www-form-urlencoded", text: "List-Unsubscribe=One-Click" };
const MULTIPART = {
  type: 'multipart/form-data; boundary="a1b2c3"',
  text: '--a1b2c3\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--a1b2c3--\r\n',
};

export function behave(role: Role, reader: Reader, draw: (below: number) => number): Promise<void> {
  const self: Program = { agent: BROWSERS[draw(BROWSERS.length)]!, address: household(draw(0x1000000)) };
  return SCRIPTS[role](reader, self, draw);
}

function one({ clickable }: Reader, draw: (below: number) => number): Reader["clickable"][number] {
  const chosen = clickable[draw(clickable.length)];
  if (chosen === undefined) throw new Error("the letter has no tracked link");
  return chosen;
}

function swapped(text: string, at: number): string {
  return `${text.slice(0, at)}${text[at] === "a" ? "b" : "a"}${text.slice(at + 1)}`;
}
