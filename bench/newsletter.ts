/**
 * The sample content of the benches and the demo: an HTML newsletter of 11 KB with exactly 240 substitutions and 60 links, as senders
 * of such mail build them (tables in tables, inline styles, indentation), and recipients to go with it. It is put together from a few
 * pieces so that the numbers can be counted, and it is always the same text. `recipient(i, seed, domains)` is a pure function: whoever
 * asks for recipient 17 of seed 3 gets the same address and variables, in any process and any order.
 */

export interface Newsletter {
  readonly subject: string;
  readonly html: string;
  readonly text: string;
}

export interface SampleRecipient {
  readonly address: string;
  readonly variables: Readonly<Record<string, string | number>>;
}

/** What `newsletter().html` keeps to; test/bench/newsletter.test.ts counts. */
export const NEWSLETTER = { bytes: 11_050, substitutions: 240, links: 60 } as const;

const CARDS = 24;
const COLUMNS = 2;

export function newsletter(): Newsletter {
  return { subject: "{{first}}, your {{season}} picks from {{city}} are here", html: page(), text: plain() };
}

/** What `bigNewsletter().html` keeps to. */
export const BIG_NEWSLETTER = { bytes: 100_000, links: 80 } as const;

/** 100 KB of HTML with 80 links, `personalised` of which have the recipient's code in their URL. Its variables are the small one's. */
export function bigNewsletter(personalised: number): Newsletter {
  let link = 0;
  const address = (path: string): string => {
    const url = `${SITE}/${path}/${link + 1}?utm_source=mail&amp;utm_medium=letter&amp;utm_campaign=picks-${link % 7}`;
    // Spread evenly over the page.
    const own = Math.floor(((link + 1) * personalised) / 80) > Math.floor((link * personalised) / 80);
    link++;
    return own ? `${url}&amp;c={{code}}` : url;
  };
  const story = (
    i: number,
  ): string => `  <table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="border-collapse:collapse">
   <tr>
    <td width="200" valign="top" style="padding:16px 8px 16px 16px;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:20px">
     <a href="${address("story")}" target="_blank" style="text-decoration:none"><img src="${SITE}/images/story-${i}.jpg" width="184" height="120" alt="Picture of story ${i}" style="display:block;border:0;outline:none"></a>
    </td>
    <td valign="top" style="padding:16px 16px 16px 8px;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:20px;color:#333333">
     <h2 style="margin:0 0 8px 0;font-family:Georgia,serif;font-size:20px;line-height:24px;color:#223344">{{item${(i % 4) + 1}}} for {{city}}, number ${i}</h2>
${PARAGRAPH.repeat(5)}     <p style="margin:0 0 8px 0">For {{first}}: <b>{{price${(i % 4) + 1}}}</b> instead of more.</p>
     <a href="${address("buy")}" target="_blank" style="display:inline-block;padding:8px 24px;background-color:#346db7;color:#ffffff;text-decoration:none">Read on and reserve</a>
    </td>
   </tr>
  </table>
`;
  const stories = Array.from({ length: 40 }, (_, i) => story(i + 1));
  const head = HEAD.slice(0, HEAD.indexOf("  <a href"));
  return {
    subject: "{{first}}, the big {{season}} letter",
    html: `${head}${stories.join("")} </td></tr></table>\n</body></html>\n`,
    text: plain(),
  };
}

/** Recipient `index` (0, 1, …) of a seed; its domain is one of `domains`, which may name one several times to give it weight. */
export function recipient(index: number, seed: number, domains: readonly string[]): SampleRecipient {
  const draw = draws(index, seed);
  const domain = domains[draw(domains.length)] ?? "plain.example";
  const first = pick(WORDS, draw);
  const city = pick(PLACES, draw);
  const prices = [draw(90) + 10, draw(90) + 10, draw(90) + 10, draw(90) + 10];
  return {
    address: `${plainLetters(first)}.${index}@${domain}`,
    variables: {
      first,
      city,
      season: pick(SEASONS, draw),
      level: pick(LEVELS, draw),
      points: draw(9000) + 1000,
      code: (draw(0x7fffffff) + 0x10000000).toString(36),
      until: `${draw(27) + 1} ${pick(MONTHS, draw)}`,
      store: `${pick(PLACES, draw)} & ${city}`,
      ref: String(100_000 + index),
      item1: pick(ITEMS, draw),
      item2: pick(ITEMS, draw),
      item3: pick(ITEMS, draw),
      item4: pick(ITEMS, draw),
      sku1: `k${draw(9000) + 1000}`,
      sku2: `k${draw(9000) + 1000}`,
      sku3: `k${draw(9000) + 1000}`,
      sku4: `k${draw(9000) + 1000}`,
      price1: `${prices[0]}.50 €`,
      price2: `${prices[1]}.90 €`,
      price3: `${prices[2]}.00 €`,
      price4: `${prices[3]}.75 €`,
    },
  };
}

// --- the page ---------------------------------------------------------------------------------------------------------------------

const SITE = "https://www.example.com";
const CELL = `style="padding:8px;font:14px Arial"`;

function page(): string {
  const rows: string[] = [];
  for (let i = 0; i < CARDS; i += COLUMNS) rows.push(`   <tr>\n${card(i)}${card(i + 1)}   </tr>\n`);
  return `${HEAD}${rows.join("")}${foot()}`;
}

/** One offer: 8 substitutions, 2 links. */
function card(i: number): string {
  const n = (i % 4) + 1;
  return (
    `    <td width="50%" valign="top" ${CELL}>\n` +
    `     <a href="${SITE}/p/{{sku${n}}}"><img src="${SITE}/i/{{sku${n}}}.png" alt="{{item${n}}}"></a>\n` +
    `     <b>{{item${n}}}</b> for {{level}} members: <b>{{price${n}}}</b> in {{city}}<br>\n` +
    `     <a href="${SITE}/buy/${i + 1}?c={{code}}" style="color:#06c">Reserve</a>\n    </td>\n`
  );
}

/** 13 substitutions, 5 links. */
const HEAD = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{season}} picks for {{first}}</title></head>
<body style="margin:0;background:#f4f4f4">
<table role="presentation" width="600" align="center" cellpadding="0" cellspacing="0" bgcolor="#ffffff">
 <tr><td ${CELL}>
  <a href="${SITE}/mirror/{{ref}}">Read this in your browser</a>
  <h1 style="font:24px Georgia;color:#234">Good morning, {{first}} of {{city}}!</h1>
  <p>The {{season}} selection for {{city}} is here. You have {{points}} points on level {{level}}, and until {{until}} your
  code <b>{{code}}</b> is worth more at {{store}}.</p>
  <a href="${SITE}/new">New</a> | <a href="${SITE}/best">Best</a> |
  <a href="${SITE}/last">Last days</a> | <a href="${SITE}/stores?near={{city}}">Your store</a>
 </td></tr>
 <tr><td>
  <table role="presentation" width="100%" cellpadding="0" cellspacing="0">
`;

const PARAGRAPH = `     <p style="margin:0 0 8px 0;font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:20px;color:#333333">
      What the season brings to the shops of the region, who makes it, and where it is to be had before everybody else has heard of it.</p>
`;

const TOPICS = ["delivery", "returns", "sizes", "repair", "gifts"] as const;

/** 35 substitutions, 7 links. */
function foot(): string {
  const topics = TOPICS.map(
    (topic) => `   <a href="${SITE}/help/${topic}?r={{ref}}&amp;l={{level}}">${topic} for {{first}} in {{city}}</a>\n`,
  );
  return `  </table>
 </td></tr>
 <tr><td ${CELL}>
  <p>{{first}}, {{points}} points take you far at {{store}}: {{item1}} ({{price1}}), {{item2}} ({{price2}}), {{item3}} ({{price3}})
  or {{item4}} ({{price4}}) until {{until}}.</p>
${topics.join("")}  <p style="color:#888">Sent to customer {{ref}} in {{city}}.
   <a href="${SITE}/preferences/{{ref}}">Preferences</a> <a href="${SITE}/legal">Legal notice</a></p>
 </td></tr>
</table>
</body></html>
`;
}

function plain(): string {
  const offers = [1, 2, 3, 4].map((n) => `- {{item${n}}}: {{price${n}}}  ${SITE}/p/{{sku${n}}}\n`).join("");
  return `Good morning, {{first}}!\n\nThe {{season}} selection for {{city}} is here. You have {{points}} points.\n\n${offers}\nYour code until {{until}}: {{code}}\n`;
}

// --- the recipients ---------------------------------------------------------------------------------------------------------------

const WORDS = [
  "Amber",
  "Birch",
  "Cedar",
  "Dune",
  "Ember",
  "Fern",
  "Glade",
  "Hazel",
  "Iris",
  "Juniper",
  "Kestrel",
  "Linden",
  "Maple",
  "Noël",
  "Olive",
  "Pebble",
];
const PLACES = ["Northfield", "Eastport", "Southgate", "Westbrook", "Lakeside", "Hill End", "Old Mill", "Brückenau"];
const SEASONS = ["spring", "summer", "autumn", "winter"];
const LEVELS = ["blue", "silver", "gold"];
const MONTHS = ["March", "June", "September", "December"];
const ITEMS = [
  "Wool scarf",
  "Tea kettle",
  "Desk lamp",
  "Rain coat",
  "Oak stool",
  "Bread knife",
  "Linen sheet",
  "Field guide",
  "Café cup",
  "Wall clock",
];

function pick(list: readonly string[], draw: (below: number) => number): string {
  return list[draw(list.length)] ?? "";
}

/** Lower case and ASCII: an address outside ASCII needs SMTPUTF8, which most of the world does not speak. */
function plainLetters(word: string): string {
  return word
    .normalize("NFD")
    .replace(/[^A-Za-z]/g, "")
    .toLowerCase();
}

/** Numbers of recipient `index`: a Weyl sequence through the finaliser of MurmurHash3, so neighbours have nothing in common. */
function draws(index: number, seed: number): (below: number) => number {
  let state = (Math.imul(index + 1, 0x9e3779b1) ^ Math.imul(seed + 1, 0x85ebca6b)) >>> 0;
  return (below) => {
    state = (state + 0x9e3779b9) >>> 0;
    let h = state;
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
    return ((h ^ (h >>> 16)) >>> 0) % below;
  };
}
