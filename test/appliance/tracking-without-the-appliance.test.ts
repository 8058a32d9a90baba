/**
 * The appliance is stopped, database, web, mta, workflow and all, and so it stays for a while; a redirection server on a machine of its own goes on with
 * nothing but its keys: clicks lead where they should, readers unsubscribe, a mirror page that was looked at before is shown. When the appliance
 * is back, everything is counted, once, with the time it happened.
 */
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type Letter, readLetter } from "../../demo/readers/letter.ts";
import { freePort } from "../support/free-port.ts";
import { type Answer, askPort } from "../support/redirector.ts";
import { openRedirectorProcess, putKeys } from "../support/redirector-process.ts";
import { openTaking, people } from "../support/taking.ts";
import { until } from "../support/until.ts";
import { makeApplianceFolder, type RunningAppliance } from "../support/whole-appliance.ts";

const COUNT = 30;
const HTML = `<p>Hello {{n}}</p><a href="https://shop.example/a?n={{n}}">A</a> <a href="https://shop.example/b">B</a>
<a href="{{mirrorUrl}}">In the browser</a> <a href="{{unsubscribeUrl}}">Unsubscribe</a>`;

interface Event {
  readonly type: string;
  readonly messageId: number;
  readonly link: number | null;
  readonly at: string;
  readonly uncounted: string;
}

async function eventsOf({ api }: RunningAppliance, id: number): Promise<readonly Event[]> {
  return (await api.lines<Event>(`/v1/events?delivery=${id}&limit=10000`)).lines;
}

const BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/** As a browser does, the address taken from the letter. */
function follow(url: string, method = "GET", body?: string): Promise<Answer> {
  const { port, pathname } = new URL(url);
  return askPort(Number(port), pathname, {
    method,
    headers: {
      "user-agent": BROWSER,
      ...(body === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
    },
    ...(body === undefined ? {} : { body }),
  });
}

/** A delivery of tracked letters, sent and read back from what was received. */
async function sendLetters(appliance: RunningAppliance, raw: Map<string, Buffer>): Promise<[number, Letter[]]> {
  const { id } = await appliance.api.call<{ id: number }>("POST", "/v1/deliveries", {
    content: { subject: "Hello", html: HTML },
    from: "news@sender.example",
    listUnsubscribe: true,
  });
  const lines = people(COUNT, 3, "away").map((address, n) => JSON.stringify({ address, n }));
  await appliance.api.upload(`/v1/deliveries/${id}/recipients`, lines);
  await appliance.api.call("POST", `/v1/deliveries/${id}/start`);
  await until(
    async () => (await appliance.api.call<{ state: string }>("GET", `/v1/deliveries/${id}`)).state === "finished",
    { what: "the delivery to end", timeoutMs: 40_000 },
  );
  return [id, await Promise.all([...raw].map(([to, bytes]) => readLetter(to, bytes)))];
}

/** What readers do while there is nothing but the redirection server. Every third unsubscribes. */
async function read(letters: readonly Letter[]): Promise<string[]> {
  const unsubscribed: string[] = [];
  await Promise.all(
    letters.map(async ({ to, links: [a = "", b = "", , unsubscribe = ""], images: [pixel = ""], oneClick }, i) => {
      expect((await follow(pixel)).status).toBe(200);
      const n = /^p(\d+)@/.exec(to)?.[1];
      expect((await follow(a)).headers.location).toBe(`https://shop.example/a?n=${n}`);
      expect((await follow(b)).headers.location).toBe("https://shop.example/b");
      if (i % 3 !== 0) return;
      unsubscribed.push(to);
      const page = i % 2 === 0;
      const answer = await follow(
        page ? unsubscribe : oneClick,
        "POST",
        page ? "page=1" : "List-Unsubscribe=One-Click",
      );
      expect(answer.status).toBe(200);
    }),
  );
  return unsubscribed.sort();
}

test(
  "clicks and unsubscriptions of a time without database, web and mta are counted when they are back",
  { timeout: 180_000 },
  async () => {
    const raw = new Map<string, Buffer>();
    const host = await openTaking({
      accept: ({ to, bytes }) => to.forEach((one) => raw.set(one, Buffer.from(bytes))),
    });
    onTestFinished(() => host.close());
    const web = await freePort();
    const server = await openRedirectorProcess({ web: `http://127.0.0.1:${web}` });
    const url = `http://127.0.0.1:${server.port}`;
    onTestFinished(() => server.close());
    const folder = makeApplianceFolder({
      machine: "whole",
      web: { port: web },
      tracking: { url },
      redirector: { run: false },
      workflow: { redirectors: [url], leaderMs: 1500 },
      stat: { leaderMs: 1500, rules: [{ mx: "*", connections: 4, tls: "disabled" }] },
      mta: { helo: "mta.test", relay: { host: "127.0.0.1", port: host.port }, threads: 1 },
    });
    onTestFinished(() => folder.close());
    putKeys(join(folder.path, "var"));
    let appliance = await folder.start();
    const [id, letters] = await sendLetters(appliance, raw);
    expect(letters).toHaveLength(COUNT);
    const [looked, unseen] = letters.map(({ links }) => links[2]!);
    const page = await follow(looked!);
    expect(page.status).toBe(200);

    expect(await appliance.stop()).toBe(0);
    const from = Date.now();
    const unsubscribed = await read(letters);
    expect(await follow(looked!)).toMatchObject({ status: 200, body: page.body });
    expect((await follow(unseen!)).status).toBe(503);
    // As if the machine itself had been switched off and on meanwhile.
    await server.kill();
    await server.start();
    expect((await follow(letters[0]!.links[1]!)).status).toBe(302);
    const to = Date.now();

    appliance = await folder.start();
    const expected = { opened: COUNT, clicked: 2 * COUNT + 1, unsubscribed: unsubscribed.length, mirror: 2 };
    const counts = (events: readonly Event[]): Record<string, number> =>
      Object.fromEntries(Object.keys(expected).map((type) => [type, events.filter((e) => e.type === type).length]));
    const total = Object.values(expected).reduce((sum, n) => sum + n, 0);
    await until(async () => (await eventsOf(appliance, id)).length >= total, {
      what: "all of it to be counted",
      timeoutMs: 40_000,
    });
    const events = await eventsOf(appliance, id);
    expect(counts(events)).toEqual(expected);
    expect(events.filter(({ uncounted }) => uncounted !== "")).toEqual([]);
    // One click of each on each link, but for the one that was made at last.
    const clicks = events.filter(({ type }) => type === "clicked").map((e) => `${e.messageId} ${e.link}`);
    expect(new Set(clicks).size).toBe(2 * COUNT);
    const away = events.filter(({ type }) => type !== "mirror").map(({ at }) => Date.parse(at));
    expect(Math.min(...away)).toBeGreaterThanOrEqual(from);
    expect(Math.max(...away)).toBeLessThanOrEqual(to);
    const { suppressions } = await appliance.api.call<{ suppressions: { address: string; source: string }[] }>(
      "GET",
      "/v1/suppressions",
    );
    expect(suppressions.map(({ address }) => address).sort()).toEqual(unsubscribed);
    expect(new Set(suppressions.map(({ source }) => source))).toEqual(new Set(["one-click", "page"]));
    const { all } = await appliance.api.call<{ all: Record<string, number> }>("GET", `/v1/deliveries/${id}/reactions`);
    expect(all).toMatchObject({
      totalRecipientOpen: COUNT,
      totalRecipientClick: 2 * COUNT + 1,
      recipientClick: COUNT,
      optOut: unsubscribed.length,
      mirrorPage: 2,
    });
    expect(await appliance.stop()).toBe(0);
  },
);
