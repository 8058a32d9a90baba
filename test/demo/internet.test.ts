/** The characters of the pretend Internet do what they are said to do, and what the zone says leads to them. */
import { connect } from "node:net";
import { readFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import {
  CHARACTERS,
  characterOf,
  fate,
  GREYLIST_MS,
  needsPatience,
  recipientDomains,
} from "../../demo/internet/characters.ts";
import { openInternet } from "../../demo/internet/internet.ts";
import type { Internet } from "../../demo/internet/internet.ts";
import { recipient } from "../../bench/newsletter.ts";
import { talkTo } from "./talk.ts";

const SEED = 7;
let now = 1_000_000;
let internet: Internet;
const talks: { close(): void }[] = [];
beforeAll(async () => {
  internet = await openInternet({ seed: SEED, now: () => now });
});
afterEach(() => talks.splice(0).forEach((one) => one.close()));
afterAll(() => internet.close());

function addressOf(host: string): string {
  const found = internet.zone.find((record) => record.type === "A" && record.name === host);
  if (found?.type !== "A") throw new Error(`${host} has no address`);
  return found.address;
}

async function call(host: string): ReturnType<typeof talkTo> {
  const one = await talkTo(addressOf(host), internet.port);
  talks.push(one);
  return one;
}

/** Sends one message and returns the answer to RCPT, or that to the dot when it was taken. */
async function send(host: string, to: string): Promise<string> {
  const it = await call(host);
  await it.say("EHLO me");
  await it.say("MAIL FROM:<a@a.example>");
  const [answer = ""] = await it.say(`RCPT TO:<${to}>`);
  if (!answer.startsWith("250")) return answer;
  await it.say("DATA");
  return (await it.say([`Message-ID: <${to}.1@a.example>`, "", "x", "."]))[0] ?? "";
}

/** Addresses of a domain for which `wanted` holds. */
function some(domain: string, wanted: (address: string) => boolean, count = 5): string[] {
  const found: string[] = [];
  for (let i = 0; found.length < count; i++) {
    const { address } = recipient(i, SEED, [domain]);
    if (wanted(address)) found.push(address);
  }
  return found;
}

describe("the zone", () => {
  test("leads from each domain to exchangers that have an address each", () => {
    const addresses = internet.zone.flatMap((record) => (record.type === "A" ? [record.address] : []));
    expect(new Set(addresses).size).toBe(addresses.length);
    expect(addresses.every((address) => address.startsWith("127."))).toBe(true);
    const twoMx = internet.zone.filter(({ name }) => name === "twomx.example");
    expect(twoMx.map((record) => (record.type === "MX" ? record.preference : 0))).toEqual([10, 20]);
    expect(internet.zone.filter(({ name }) => name === "nomx.example").map(({ type }) => type)).toEqual(["A"]);
    expect(internet.zone.filter(({ name }) => name === "nullmx.example")).toEqual([
      { name: "nullmx.example", type: "MX", preference: 0, exchange: "" },
    ]);
    expect(internet.zone.filter(({ name }) => name.endsWith("gone.example"))).toEqual([]);
  });

  test("nobody listens at the dead exchanger", async () => {
    const socket = connect(internet.port, addressOf("dead.twomx.example"));
    const code = await new Promise((resolve) => socket.once("error", (error) => resolve(Reflect.get(error, "code"))));
    expect(code).toBe("ECONNREFUSED");
  });
});

describe("characters", () => {
  test.each([
    ["mx1.plain.example", "a@plain.example"],
    ["mx2.plain.example", "a@meadow.example"],
    ["mx.chunking.example", "a@valley.example"],
    ["mx.starttls.example", "a@forest.example"],
    ["mx.slow.example", "a@slow.example"],
    ["mx.twomx.example", "a@twomx.example"],
    ["nomx.example", "a@nomx.example"],
  ])("%s takes mail", async (host, to) => {
    expect(await send(host, to)).toBe("250 2.0.0 taken");
  });

  test("greylisting asks to come back, and takes it after a while, not before", async () => {
    const to = "new@greylisting.example";
    expect(await send("mx.greylisting.example", to)).toMatch(/^451 4\.7\.1 /);
    now += GREYLIST_MS - 1;
    expect(await send("mx.greylisting.example", to)).toMatch(/^451 4\.7\.1 /);
    now += 1;
    expect(await send("mx.greylisting.example", to)).toMatch(/^250 /);
  });

  test("unknown users are unknown each time, the others are not", async () => {
    const [gone = ""] = some("unknown.example", (address) => fate(address, SEED).status === "failed");
    const [there = ""] = some("unknown.example", (address) => fate(address, SEED).status === "sent");
    expect(await send("mx.unknown.example", gone)).toMatch(/^550 5\.1\.1 /);
    expect(await send("mx.unknown.example", gone)).toMatch(/^550 5\.1\.1 /);
    expect(await send("mx.unknown.example", there)).toMatch(/^250 /);
  });

  test("a full mailbox stays full, or has room at the third try", async () => {
    const [full = ""] = some("full.example", (address) => fate(address, SEED).status === "failed");
    const [forNow = ""] = some("full.example", (address) => needsPatience(address, SEED));
    for (let i = 0; i < 3; i++) expect(await send("mx.full.example", full)).toMatch(/^552 5\.2\.2 /);
    expect(await send("mx.full.example", forNow)).toMatch(/^452 4\.2\.2 /);
    expect(await send("mx.full.example", forNow)).toMatch(/^452 4\.2\.2 /);
    expect(await send("mx.full.example", forNow)).toMatch(/^250 /);
  });

  test("drops hangs up in the text the first time, for its share", async () => {
    const [dropped = ""] = some("drops.example", (address) => needsPatience(address, SEED));
    const [smooth = ""] = some("drops.example", (address) => !needsPatience(address, SEED));
    await expect(send("mx.drops.example", dropped)).rejects.toThrow("closed");
    expect(await send("mx.drops.example", dropped)).toMatch(/^250 /);
    expect(await send("mx.drops.example", smooth)).toMatch(/^250 /);
  });

  test("limit takes two connections", async () => {
    const greetings = [];
    for (let i = 0; i < 3; i++) greetings.push((await call("mx.limit.example")).greeting.slice(0, 3));
    expect(greetings).toEqual(["220", "220", "421"]);
  });
});

describe("who gets what", () => {
  const addresses = Array.from({ length: 5000 }, (_, i) => recipient(i, SEED, recipientDomains()).address);

  test("every character has recipients, and each of them a fate", () => {
    const seen = new Set(addresses.map((address) => characterOf(address).name));
    expect([...seen].sort()).toEqual(CHARACTERS.map(({ name }) => name).sort());
    const failed = addresses.filter((address) => fate(address, SEED).status === "failed");
    expect(failed.length).toBeGreaterThan(addresses.length * 0.05);
    expect(failed.length).toBeLessThan(addresses.length * 0.15);
  });

  test("is decided by the seed", () => {
    const failed = (seed: number): string[] => addresses.filter((address) => fate(address, seed).status === "failed");
    expect(failed(SEED)).toEqual(failed(SEED));
    expect(failed(SEED)).not.toEqual(failed(SEED + 1));
  });
});

describe("the receipt", () => {
  test("counts each message by recipient and Message-ID, and keeps samples as they came", async () => {
    const folder = await mkdtemp(join(tmpdir(), "postilion-test-"));
    try {
      const before = internet.received.total;
      await send("mx1.plain.example", "twice@plain.example");
      await send("mx2.plain.example", "twice@plain.example");
      expect(internet.received.total).toBe(before + 2);
      const receipt = await internet.received.report(folder);
      const lines = (await readFile(receipt.file, "utf8")).split("\n");
      expect(lines).toContain("twice@plain.example\t<twice@plain.example.1@a.example>\t2");
      const sample = receipt.samples.find(
        ({ to, host }) => to === "twice@plain.example" && host === "mx1.plain.example",
      );
      expect(await readFile(sample?.file ?? "", "utf8")).toBe(
        "Message-ID: <twice@plain.example.1@a.example>\r\n\r\nx\r\n",
      );
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
