import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { systemClock } from "../../src/base/clock.ts";
import { addressOf } from "../../src/quota/link/address.ts";
import { askStat, type AskOptions } from "../../src/quota/link/ask.ts";
import { freePort } from "../support/free-port.ts";
import { challenge, fakeServer, greeting, openLink, say } from "../support/stat-link.ts";
import { closeAfterEach, OTHER, SECRET, smallServer } from "../support/stat-server.ts";
import { until } from "../support/until.ts";

closeAfterEach();
const tlsFile = (name: string): string => readFileSync(new URL(`../support/tls/${name}`, import.meta.url), "utf8");
const cert = tlsFile("localhost.crt");
const key = tlsFile("localhost.key");

function ask(
  addresses: readonly (string | number)[],
  options: Partial<AskOptions> = {},
  timeoutMs = 2000,
): Promise<unknown> {
  return askStat(
    {
      addresses: addresses.map((each) => (typeof each === "number" ? `127.0.0.1:${each}` : each)),
      secret: SECRET,
      tls: null,
      clock: systemClock,
      name: "test",
      ...options,
    },
    "sites",
    { site: "mx.test" },
    timeoutMs,
  );
}

describe("a question", () => {
  test("is answered by whoever leads, and leaves no connection", async () => {
    const dead = await freePort();
    const server = await smallServer();
    expect(await ask([dead, server.port])).toEqual({ what: "sites", args: { site: "mx.test" } });
    await until(() => server.connections === 0);
    expect(server.engine.joined).toEqual([]);
  });

  test("nobody there: which address, and why", async () => {
    const [one, two] = [await freePort(), await freePort()];
    const asked = ask([one, two]);
    await expect(asked).rejects.toMatchObject({ code: "STAT_UNREACHABLE" });
    await expect(asked).rejects.toThrow(`127.0.0.1:${one}: connection refused; 127.0.0.1:${two}: connection refused`);
  });

  test("another secret", async () => {
    const server = await smallServer();
    const asked = ask([server.port], { secret: OTHER });
    await expect(asked).rejects.toMatchObject({ code: "STAT_REFUSED" });
    await expect(asked).rejects.toThrow("stat.secretFile");
  });

  test("nobody leads yet: asked again until somebody does", async () => {
    let times = 0;
    const later = await fakeServer((socket, line) => {
      if (line === null) return say(socket, challenge);
      const { t, id } = JSON.parse(line) as { t: string; id: number };
      if (t === "query") return say(socket, { t: "answer", id, data: times });
      if (++times < 3) return say(socket, { t: "leave", text: "no statistics server leads yet" });
      greeting(socket, line, () => {});
    });
    expect(await ask([later.port], {}, 10_000)).toBe(3);
  });

  test("nobody leads: it says so when its time is up", async () => {
    const never = await fakeServer((socket, line) => {
      if (line === null) say(socket, challenge);
      else say(socket, { t: "leave", text: "no statistics server leads yet" });
    });
    await expect(ask([never.port], {}, 500)).rejects.toThrow("no statistics server leads yet");
  });

  test("no answer: it does not wait for ever", async () => {
    const mute = await fakeServer((socket, line) => greeting(socket, line, () => {}));
    await expect(ask([mute.port], {}, 200)).rejects.toMatchObject({ code: "STAT_UNREACHABLE" });
  });

  test("another version of the protocol", async () => {
    const newer = await fakeServer((socket, line) => void (line ?? say(socket, { ...challenge, v: 2 })));
    await expect(ask([newer.port])).rejects.toThrow(/STAT_REFUSED|version 2/);
  });
});

describe("TLS", () => {
  test("with the authority that is trusted it is up; with another it is not", async () => {
    const server = await smallServer({ tls: { cert, key } });
    const a = openLink([`localhost:${server.port}`], { tls: { ca: cert } });
    await until(() => a.events.includes("up"));
    await expect(ask([server.port], { tls: { ca: null } })).rejects.toMatchObject({ code: "STAT_REFUSED" });
  });

  test("a name that is not in the certificate is refused", async () => {
    const server = await smallServer({ tls: { cert, key }, host: "127.0.0.2" });
    await expect(ask([`127.0.0.2:${server.port}`], { tls: { ca: cert } })).rejects.toMatchObject({
      code: "STAT_REFUSED",
    });
  });

  test("a server without TLS is told nothing", async () => {
    const plain = await fakeServer((socket, line) => void (line ?? say(socket, challenge)));
    await expect(ask([plain.port], { tls: { ca: cert } })).rejects.toMatchObject({ code: "STAT_REFUSED" });
    expect(plain.heard).not.toContain("hello");
  });
});

test("addresses", () => {
  expect(addressOf("stat.example:7000")).toEqual({ host: "stat.example", port: 7000 });
  expect(addressOf("stat.example")).toEqual({ host: "stat.example", port: 7777 });
  expect(addressOf("[::1]:7000")).toEqual({ host: "::1", port: 7000 });
  for (const none of ["", ":7000", "::1:7000", "a:b", "a:0", "a:70000", "a b:1"]) expect(addressOf(none)).toBeNull();
});
