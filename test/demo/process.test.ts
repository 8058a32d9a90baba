/** The pretend Internet as a process: it comes up, can be found through its own name server, reports, and goes. */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Resolver } from "node:dns/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startInternet } from "../../demo/internet/process.ts";
import { talkTo } from "./talk.ts";

test("a message finds its way by MX and A, and is in the report", async () => {
  const folder = await mkdtemp(join(tmpdir(), "postilion-test-"));
  const internet = await startInternet(1, 200, [{ name: "k._domainkey.a.example", type: "TXT", text: "v=DKIM1; p=x" }]);
  try {
    const resolver = new Resolver({ timeout: 2000, tries: 1 });
    resolver.setServers([internet.dns]);
    expect(await resolver.resolveTxt("k._domainkey.a.example")).toEqual([["v=DKIM1; p=x"]]);
    const [mx] = await resolver.resolveMx("valley.example");
    const [address] = await resolver.resolve4(mx?.exchange ?? "");
    const it = await talkTo(address ?? "", internet.port);
    await it.say(["MAIL FROM:<a@a.example>", "RCPT TO:<b@valley.example>", "DATA"], 3);
    await it.say(["Message-ID: <1@a.example>", "", "x", "."]);
    it.close();

    const report = await internet.report(folder);
    expect([report.total, report.peak]).toEqual([1, 1]);
    expect(report.firstAt).toBeGreaterThan(0);
    expect(report.hosts).toEqual([{ host: mx?.exchange, messages: 1, bytes: 32, overTls: 0 }]);
    expect(report.counts.find(({ name }) => name === mx?.exchange)?.connections).toBe(1);
    expect(await readFile(report.file, "utf8")).toBe("b@valley.example\t<1@a.example>\t1\n");
    expect(report.samples.map(({ to }) => to)).toEqual(["b@valley.example"]);
  } finally {
    await internet.close();
    await rm(folder, { recursive: true });
  }
  await expect(internet.report(folder)).rejects.toThrow("Channel closed");
});
