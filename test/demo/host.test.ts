/** The exchanger of the pretend Internet as a server: what it answers, what it keeps, what it does not take. */
import { afterEach, describe, expect, test } from "vitest";
import { makeCertificate } from "../../demo/internet/certificate.ts";
import { openHost, POLITE } from "../../demo/internet/host.ts";
import type { Accepted, Host, Manners } from "../../demo/internet/host.ts";
import { talkTo } from "./talk.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

async function host(manners: Partial<Manners> = {}): Promise<{ host: Host; taken: Accepted[] }> {
  const taken: Accepted[] = [];
  const one = await openHost({
    name: "mx.plain.example",
    address: "127.0.0.1",
    port: 0,
    manners: { ...POLITE, ...manners },
    certificate: manners.starttls === true ? makeCertificate(["mx.plain.example"]) : null,
    accept: (message) => taken.push(message),
  });
  opened.push(one);
  return { host: one, taken };
}

async function talk(to: Host): Promise<Awaited<ReturnType<typeof talkTo>>> {
  const one = await talkTo("127.0.0.1", to.port);
  opened.push(one);
  return one;
}

const ENVELOPE = ["MAIL FROM:<a@a.example>", "RCPT TO:<b@b.example>"];

describe("an exchanger", () => {
  test("takes a message with the dots taken off, and hands it over as it was", async () => {
    const { host: one, taken } = await host();
    const it = await talk(one);
    expect(it.greeting).toBe("220 mx.plain.example ESMTP");
    expect((await it.say("EHLO me"))[0]).toContain("PIPELINING");
    expect(await it.say([...ENVELOPE, "DATA"], 3)).toEqual(["250 2.1.0 ok", "250 2.1.5 ok", "354 go on"]);
    await it.say(["Subject: x", "", "..one", "two", "."]);
    expect(taken.map(({ from, to, bytes }) => [from, to, bytes.toString()])).toEqual([
      ["a@a.example", ["b@b.example"], "Subject: x\r\n\r\n.one\r\ntwo\r\n"],
    ]);
  });

  test("works off two pipelined messages in one write, in order", async () => {
    const { host: one, taken } = await host();
    const it = await talk(one);
    await it.say("EHLO me");
    await it.say([...ENVELOPE, "DATA"], 3);
    const answers = await it.say(["A: 1", "", "first", ".", ...ENVELOPE, "DATA"], 4);
    expect(answers.at(-1)).toBe("354 go on");
    await it.say(["A: 2", "", "second", "."]);
    expect(taken.map(({ bytes }) => bytes.toString())).toEqual(["A: 1\r\n\r\nfirst\r\n", "A: 2\r\n\r\nsecond\r\n"]);
  });

  test("takes an empty message", async () => {
    const { host: one, taken } = await host();
    const it = await talk(one);
    await it.say([...ENVELOPE, "DATA"], 3);
    await it.say(".");
    expect(taken[0]?.bytes.length).toBe(0);
  });

  test("takes chunks, several for a message, and swallows the chunk of a refused recipient", async () => {
    const { host: one, taken } = await host({
      chunking: true,
      refuse: (to) => (to.startsWith("no") ? "550 5.1.1 no" : ""),
    });
    const it = await talk(one);
    expect((await it.say("EHLO me"))[0]).toContain("CHUNKING");
    await it.say([...ENVELOPE, "BDAT 3\r\n."], 3);
    expect(await it.say("BDAT 7 LAST\r\nhello")).toEqual(["250 2.0.0 taken"]);
    // The chunk's octets would read as a command if they were not counted.
    const refused = await it.say(["MAIL FROM:<a@a.example>", "RCPT TO:<no@b.example>", "BDAT 6 LAST", "QUIT"], 3);
    expect(refused.slice(1)).toEqual(["550 5.1.1 no", "554 5.5.1 no valid recipients"]);
    expect(taken.map(({ bytes }) => bytes.toString("latin1"))).toEqual([".\r\nhello\r\n"]);
  });

  test("speaks TLS, and forgets what was said in the clear behind STARTTLS", async () => {
    const { host: one, taken } = await host({ starttls: true });
    const it = await talk(one);
    expect((await it.say("EHLO me"))[0]).toContain("STARTTLS");
    await it.say(["STARTTLS", "MAIL FROM:<evil@a.example>"]);
    await it.secure();
    expect((await it.say("EHLO me"))[0]).not.toContain("STARTTLS");
    await it.say([...ENVELOPE, "DATA"], 3);
    await it.say(["x", "."]);
    expect(taken.map(({ from, tls }) => [from, tls])).toEqual([["a@a.example", true]]);
  });

  test("hangs up in the text once, and has taken nothing then", async () => {
    let first = true;
    const { host: one, taken } = await host({ drop: () => first && !(first = false) });
    const it = await talk(one);
    await it.say([...ENVELOPE, "DATA"], 3);
    await expect(it.say(["x", "."])).rejects.toThrow("closed");
    expect(taken).toEqual([]);
    expect(one.counts.dropped).toBe(1);
    const again = await talk(one);
    await again.say([...ENVELOPE, "DATA"], 3);
    await again.say(["x", "."]);
    expect(taken.length).toBe(1);
  });

  test("refuses a connection above its limit and takes one again when another has ended", async () => {
    const { host: one } = await host({ connections: 1 });
    const it = await talk(one);
    const second = await talk(one);
    expect(second.greeting).toMatch(/^421 4\.7\.0 /);
    await second.closed;
    await it.say("QUIT");
    await it.closed;
    await expect.poll(async () => (await talk(one)).greeting).toBe("220 mx.plain.example ESMTP");
  });

  test.each([
    ["DATA with no recipient", ["MAIL FROM:<a@a.example>", "DATA"], "554 5.5.1 no valid recipients"],
    ["RCPT before MAIL", ["RCPT TO:<b@b.example>"], "503 5.5.1 MAIL first"],
    ["two MAIL", ["MAIL FROM:<a@a.example>", "MAIL FROM:<a@a.example>"], "503 5.5.1 a transaction is open"],
    ["nonsense", ["HELLO"], "500 5.5.1 command not known"],
    ["a line too long", ["x".repeat(5000)], "500 5.5.2 line too long"],
  ])("answers %s", async (_, lines, answer) => {
    const { host: one } = await host();
    const it = await talk(one);
    expect((await it.say(lines, lines.length)).at(-1)).toBe(answer);
  });
});
