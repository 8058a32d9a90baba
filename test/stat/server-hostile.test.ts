import { beforeEach, describe, expect, test } from "vitest";
import { type Log, silentLog } from "../../src/base/log.ts";
import { MOST_LINE } from "../../src/quota/messages.ts";
import type { StatServerOptions } from "../../src/stat/server.ts";
import { noGovernor, type SmallEngine } from "../support/small-engine.ts";
import { acquire, type RawClient } from "../support/stat-client.ts";
import { closeAfterEach, memberOf, type SmallServer, smallServer, stranger } from "../support/stat-server.ts";
import { until } from "../support/until.ts";

closeAfterEach();
let engine: SmallEngine;
let server: SmallServer;
let logged: { readonly fields: object; readonly text: string }[] = [];
const log: Log = { ...silentLog, error: (fields, text) => void logged.push({ fields, text }), child: () => log };

async function open(options: Partial<StatServerOptions> = {}): Promise<void> {
  server = await smallServer({ log, ...options });
  // One that is given its own parts goes on with the engine there is.
  if (options.open === undefined) ({ engine } = server);
}
const client = (): Promise<RawClient> => stranger(server);
const member = (name: string): Promise<RawClient> => memberOf(server, name);

beforeEach(async () => {
  logged = [];
  await open();
});

/** What a stranger and a member may send; each of them ends in an error line and a closed connection, or only the latter. */
const HOSTILE: Readonly<Record<string, string | Buffer>> = {
  "nothing but a line end": "\n",
  "no JSON": "GET / HTTP/1.1\r\n\r\n",
  "half an object": '{"t":"ping","id":\n',
  "a number": "1\n",
  null: "null\n",
  "a list": "[]\n",
  "no kind": "{}\n",
  "a kind there is not": '{"t":"grant","id":1}\n',
  "a kind that is a method": '{"t":"toString"}\n',
  "a kind that is a prototype": '{"t":"__proto__"}\n',
  "a kind that is an object": '{"t":{"toString":"acquire"}}\n',
  "a prototype": '{"__proto__":{"t":"ping","id":1}}\n',
  "a negative id": '{"t":"ping","id":-1}\n',
  "an id of text": '{"t":"ping","id":"1"}\n',
  "an id with a fraction": '{"t":"ping","id":1.5}\n',
  "an id without end": '{"t":"ping","id":1e400}\n',
  "an id over 2^53": '{"t":"ping","id":9007199254740993}\n',
  "deep JSON": `${"[".repeat(100_000)}\n`,
  "deep JSON that ends": `{"t":"query","id":1,"what":"sites","args":${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}}\n`,
  "binary octets": Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 197) % 256)),
  "binary octets, then a line end": Buffer.concat([Buffer.alloc(1000, 0xff), Buffer.from("\n")]),
  zeros: Buffer.from("\0\0\0\0\n"),
  "a megabyte without a line end": "x".repeat(1_000_000),
  "a megabyte in one line": `${JSON.stringify({ t: "ping", id: 1, text: "x".repeat(1_000_000) })}\n`,
  "a line a little too long": `${JSON.stringify({ t: "ping", id: 1, text: "x".repeat(MOST_LINE) })}\n`,
};

const HOSTILE_TO_MEMBERS: Readonly<Record<string, object>> = {
  "a second hello": {
    t: "hello",
    v: 1,
    member: "m9/0",
    role: "member",
    nonce: "ab".repeat(24),
    proof: "00",
    process: "0123456789abcdef",
    held: [],
  },
  "no exchangers": acquire(1, { exchangers: [] }),
  "exchangers that are none": acquire(1, { exchangers: [null] }),
  "exchangers that are an object": acquire(1, { exchangers: { length: 1, 0: { mx: "a", ip: "b" } } }),
  "too many exchangers": acquire(1, { exchangers: Array.from({ length: 2000 }, () => ({ mx: "a", ip: "b" })) }),
  "a site of spaces": acquire(1, { site: "a b" }),
  "a site of control characters": acquire(1, { site: "a\u0000b" }),
  "a site that is a lone surrogate": acquire(1, { site: "\ud800" }),
  "a site too long": acquire(1, { site: "a".repeat(9000) }),
  "no site": acquire(1, { site: "" }),
  "a huge count": acquire(1, { messages: 1e15 }),
  "a negative count": acquire(1, { messages: -1 }),
  "urgency of text": acquire(1, { urgent: "yes" }),
  "a public id of text": acquire(1, { publicId: "1" }),
  "a release with a negative return": { t: "release", conn: 1, back: [[1, -5]] },
  "a release with odd returns": { t: "release", conn: 1, back: [[1]] },
  "a return of text": { t: "return", conn: 1, back: "all" },
  "a used of too few windows": { t: "used", counters: [{ counter: "a|1|", used: [[0, 1]] }], last: true },
  "a used without an end": { t: "used", counters: [], last: "true" },
  "a report of holes": { t: "report", paths: [{}], replies: [] },
  "a report of negative numbers": {
    t: "report",
    paths: [],
    replies: [
      { mx: "a", ip: "b", site: "c", publicId: 1, stage: "rcpt", code: -450, enhanced: "", text: "", count: 1 },
    ],
  },
  "a lane with a hold of no kind": {
    t: "lanes",
    lanes: [
      {
        site: "a",
        mx: "b",
        publicId: 1,
        waiting: 0,
        inFlight: 0,
        sessions: 0,
        hold: { kind: "toString", by: "", text: "", since: 0, until: 0 },
      },
    ],
  },
  "a query there is not": { t: "query", id: 1, what: "constructor", args: {} },
  "a query with a prototype in it": { t: "query", id: 1, what: "sites", args: JSON.parse('{"a":{"__proto__":{}}}') },
  "a query without arguments": { t: "query", id: 1, what: "sites" },
};

describe("hostile octets", () => {
  test.each(Object.entries(HOSTILE))("from a stranger: %s", async (_name, bytes) => {
    const a = await client();
    await a.hears("challenge");
    a.write(bytes);
    a.write("\n");
    await until(() => a.closed);
    expect(a.heard.filter(({ t }) => t !== "challenge" && t !== "error")).toEqual([]);
    expect(engine.joined).toEqual([]);
    await well();
  });

  test.each(Object.entries(HOSTILE))("from a member: %s", async (_name, bytes) => {
    const a = await member("m1/0");
    a.write(bytes);
    a.write("\n");
    await until(() => a.closed);
    expect(a.heard.filter(({ t }) => t !== "challenge" && t !== "error" && t !== "welcome")).toEqual([]);
    expect(engine.heard).toEqual([]);
    expect(engine.left).toEqual(["m1/0"]);
    await well();
  });

  test.each(Object.entries(HOSTILE_TO_MEMBERS))("from a member: %s", async (_name, message) => {
    const a = await member("m1/0");
    a.write(`${JSON.stringify(message).replace('"a":{}', '"a":{"__proto__":{}}')}\n`);
    const { text } = await a.hears("error");
    expect(text.length).toBeGreaterThan(10);
    await until(() => a.closed);
    expect(engine.heard).toEqual([]);
    await well();
  });

  test("a line that comes octet by octet is a line", async () => {
    const a = await member("m1/0");
    for (const octet of `${JSON.stringify(acquire(7))}\r\n`) a.write(octet);
    expect((await a.hears("grant")).id).toBe(7);
  });

  test("what a client made up goes no further", async () => {
    const a = await member("m1/0");
    a.write(`${JSON.stringify(acquire(7)).slice(0, -1)},"__proto__":{"x":1},"constructor":1}\n`);
    await a.hears("grant");
    expect(Object.keys(engine.heard[0]?.message ?? {}).sort()).toEqual(Object.keys(acquire(7)).sort());
  });

  test("text of strangers is made fit for the database", async () => {
    const seen: unknown[] = [];
    await server.close();
    await open({
      open: () => ({
        engine,
        governor: noGovernor(),
        queries: () => null,
        observe: (_member, _paths, replies) => void seen.push(...replies.map((reply) => reply.text)),
      }),
    });
    const a = await member("m1/0");
    const reply = { mx: "a", ip: "b", site: "c", publicId: 1, stage: "rcpt", code: 450, enhanced: "4.7.1", count: 1 };
    a.say({ t: "report", paths: [], replies: [{ ...reply, text: `a\u0000b\r\n${"\ud800"}${"x".repeat(5000)}` }] });
    await until(() => seen.length > 0);
    expect(seen[0]).toMatch(/^a b {2}\ufffdx{900,}$/);
    expect((seen[0] as string).length).toBe(1000);
  });

  /** The server does its work for somebody else. */
  async function well(): Promise<void> {
    const b = await member("well/0");
    b.say({ t: "ping", id: 5 });
    expect((await b.hears("pong")).id).toBe(5);
    expect(logged).toEqual([]);
  }
});
