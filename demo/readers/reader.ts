/**
 * One reader and what they may do with their letter: open it, click, look at the mirror page, unsubscribe, follow what they should not. Each act asks
 * the redirection server, looks whether the answer is right, and writes down what was made.
 */
import type { Net, Posted, Program, Shown } from "./browse.ts";
import type { Letter } from "./letter.ts";
import type { Kind, Made, MadeHit } from "./made.ts";
import type { Lead } from "./template.ts";

export interface Reader {
  readonly letter: Letter;
  /** The tracked links, with their addresses in the letter. */
  readonly clickable: readonly Clickable[];
  open(program: Program, how: How): Promise<void>;
  click(program: Program, at: Clickable, how: How & { readonly method?: "GET" | "HEAD" }): Promise<void>;
  /** The link nobody sees. */
  trap(program: Program): Promise<void>;
  mirror(program: Program, who: MadeHit["who"]): Promise<void>;
  /** Looks at the page for unsubscribing, which does nothing. */
  lookAtUnsubscribing(program: Program): Promise<void>;
  unsubscribe(program: Program, url: string, body: Posted, counts: boolean): Promise<void>;
  /** Must lead nowhere. */
  tamper(program: Program, url: string): Promise<void>;
}

export interface Clickable extends Lead {
  readonly href: string;
}

interface How {
  readonly who: MadeHit["who"];
  /** Default true. */
  readonly counts?: boolean;
}

/** What is wrong with the letter itself is written down at once. */
export function openReader(net: Net, letter: Letter, leads: readonly Lead[], base: string, made: Made): Reader {
  const { to } = letter;
  const wrong = (text: string): void => void made.wrong.push(`${to}: ${text}`);
  const did = (kind: Kind, link: number, { who, counts = true }: How): void =>
    void made.hits.push({ to, kind, link, who, counts });
  const clickable: Clickable[] = [];
  for (const lead of leads) {
    const href = letter.links[lead.number - 1] ?? "";
    if (href.startsWith(`${base}/r/`)) clickable.push({ ...lead, href });
    else wrong(`link ${lead.number} should be tracked, and is ${href}`);
  }

  /** Exactly what our own pages and pixels promise. */
  function expect(what: string, { status, location, cookies, type }: Shown, status_: number, type_: string): boolean {
    const right = status === status_ && location === "" && cookies === 0 && type.startsWith(type_);
    if (!right) wrong(`${what} was answered ${status} ${type} ${location}`.trimEnd());
    return right;
  }

  return {
    letter,
    clickable,
    async open(program, how) {
      const pixel = letter.images.find((src) => src.startsWith(`${base}/o/`));
      if (pixel === undefined) return wrong("there is no picture that tells of an open");
      if (expect("the open", await net.ask(program, "GET", pixel), 200, "image/gif")) did("opened", 0, how);
    },
    async click(program, { href, url, number }, { method = "GET", ...how }) {
      const { status, location, cookies } = await net.ask(program, method, href);
      if (status !== 302 || location !== url || cookies !== 0)
        return wrong(`link ${number} should lead to ${url}, and was answered ${status} ${location}`);
      did("clicked", number, how);
    },
    async trap(program) {
      const [href] = letter.hidden.filter((one) => one.startsWith(`${base}/r/`));
      if (href === undefined) return wrong("there is no hidden link");
      const { status } = await net.ask(program, "GET", href);
      if (status !== 302 && status !== 204) return wrong(`the hidden link was answered ${status}`);
      did("clicked", letter.links.length + 1, { who: "machines", counts: false });
    },
    async mirror(program, who) {
      const href = letter.links.find((one) => one.startsWith(`${base}/m/`));
      if (href === undefined) return wrong("there is no link to the mirror page");
      if (expect("the mirror page", await net.ask(program, "GET", href), 200, "text/html")) did("mirror", 0, { who });
    },
    async lookAtUnsubscribing(program) {
      const href = letter.links.find((one) => one.startsWith(`${base}/u/`));
      if (href === undefined) return wrong("there is no link for unsubscribing");
      expect("the page for unsubscribing", await net.ask(program, "GET", href), 200, "text/html");
    },
    async unsubscribe(program, url, body, counts) {
      if (!url.startsWith(`${base}/u/`)) return wrong(`unsubscribing leads to "${url}"`);
      if (!expect("unsubscribing", await net.ask(program, "POST", url, body), 200, "text/html")) return;
      did("unsubscribed", 0, { who: "people", counts });
      made.unsubscribed.add(to);
    },
    async tamper(program, url) {
      made.tampered++;
      expect(
        `the link ${url.slice(0, 120)}, which was tampered with,`,
        await net.ask(program, "GET", url),
        404,
        "text/html",
      );
    },
  };
}
