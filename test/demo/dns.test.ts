/** The pretend Internet's name server, asked by Node's own resolver (c-ares). */
import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDns } from "../../demo/internet/dns.ts";
import type { Dns } from "../../demo/internet/dns.ts";

const LONG = `v=DKIM1; p=${"A".repeat(392)}`;
const resolver = new Resolver({ timeout: 2000, tries: 1 });
let dns: Dns;
beforeAll(async () => {
  dns = await openDns([
    { name: "two.example", type: "MX", preference: 20, exchange: "mx2.two.example" },
    { name: "two.example", type: "MX", preference: 10, exchange: "mx1.two.example" },
    { name: "mx1.two.example", type: "A", address: "127.5.6.7" },
    { name: "null.example", type: "MX", preference: 0, exchange: "" },
    { name: "s._domainkey.two.example", type: "TXT", text: LONG },
  ]);
  resolver.setServers([dns.address]);
});
afterAll(() => dns.close());

test("answers MX, A and a TXT longer than one string", async () => {
  const mx = await resolver.resolveMx("TWO.example");
  expect(mx.map(({ priority, exchange }) => [priority, exchange])).toEqual([
    [20, "mx2.two.example"],
    [10, "mx1.two.example"],
  ]);
  expect(await resolver.resolve4("mx1.two.example")).toEqual(["127.5.6.7"]);
  expect((await resolver.resolveTxt("s._domainkey.two.example")).map((strings) => strings.join(""))).toEqual([LONG]);
});

test("a null MX has the root for an exchanger", async () => {
  expect((await resolver.resolveMx("null.example"))[0]?.exchange).toBe("");
});

test("tells a name without that record from one that does not exist", async () => {
  await expect(resolver.resolveMx("mx1.two.example")).rejects.toMatchObject({ code: "ENODATA" });
  await expect(resolver.resolveMx("gone.example")).rejects.toMatchObject({ code: "ENOTFOUND" });
});

test("survives what is no query", async () => {
  const socket = createSocket("udp4");
  const port = Number(dns.address.split(":")[1]);
  for (const junk of [
    Buffer.alloc(0),
    Buffer.alloc(11),
    Buffer.alloc(12, 255),
    Buffer.concat([Buffer.alloc(5), Buffer.from([1]), Buffer.alloc(6, 0), Buffer.from([63, 1])]),
  ]) {
    await new Promise((resolve) => socket.send(junk, port, "127.0.0.1", resolve));
  }
  socket.close();
  expect(await resolver.resolve4("mx1.two.example")).toEqual(["127.5.6.7"]);
});
