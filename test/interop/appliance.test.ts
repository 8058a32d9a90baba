/**
 * A delivery through the whole appliance to real receivers: API in, a maildir out. What arrives is what the ledger calls sent, once each,
 * verified by others, from the return path that names the message.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "vitest";
import { newsletter, recipient } from "../../bench/newsletter.ts";
import { openApi } from "../../demo/api.ts";
import { makeSigningKey, SENDER, startAppliance } from "../../demo/appliance.ts";
import { readLedger } from "../../demo/books.ts";
import { follow } from "../../demo/delivery.ts";
import { dkimResults } from "../../demo/dkim.ts";
import { settingsFor } from "../../demo/settings.ts";
import { openDns } from "../../demo/internet/dns.ts";
import { putCluster } from "../support/cluster.ts";
import { freePort } from "../support/free-port.ts";
import { until } from "../support/until.ts";
import * as exim from "./exim.ts";
import { partsOf } from "./parts.ts";
import * as postfix from "./postfix.ts";
import { delivered } from "./receiver.ts";

const DOMAIN = "interop.example";
const COUNT = 60;

const RECEIVERS = [
  { name: "Postfix", lacks: await postfix.missing(), open: () => postfix.openPostfix([DOMAIN]) },
  { name: "Exim", lacks: await exim.missing(), open: () => exim.openExim([DOMAIN]) },
];

for (const { name, lacks, open } of RECEIVERS) {
  if (lacks !== "") {
    test.skip(`${name} is left out: ${lacks}`, () => {});
    continue;
  }

  const title = `${name} gets a delivery: every message once, signed, as the ledger says`;
  // Together: each waits for its own processes most of the time.
  test.concurrent(title, { timeout: 180_000 }, async ({ expect, onTestFinished }) => {
    const folder = await mkdtemp(join(tmpdir(), "postilion-test-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o755);
    putCluster(join(folder, "var"));
    const receiver = await open();
    onTestFinished(receiver.close);
    const key = makeSigningKey();
    const dns = await openDns([
      { name: DOMAIN, type: "MX", preference: 10, exchange: `mx.${DOMAIN}` },
      { name: `mx.${DOMAIN}`, type: "A", address: "127.0.0.1" },
      { name: key.name, type: "TXT", text: key.record },
    ]);
    onTestFinished(dns.close);
    const settings = settingsFor(folder, dns.address, receiver.port, await freePort());
    const appliance = await startAppliance({ folder, key, settings });
    onTestFinished(appliance.close);

    const api = openApi(appliance.url, appliance.token);
    const from = { address: `hello@${SENDER.domain}`, name: "The Weekly Café" };
    const body = { content: newsletter(), from, listUnsubscribe: true };
    const { id } = await api.call<{ id: number }>("POST", "/v1/deliveries", body);
    const recipients = Array.from({ length: COUNT }, (_, i) => recipient(i, 1, [DOMAIN]));
    await api.upload(
      `/v1/deliveries/${id}/recipients`,
      recipients.map((one) => JSON.stringify(one)),
    );
    await api.call("POST", `/v1/deliveries/${id}/start`);
    const { counters } = await follow(api, id, () => {}, AbortSignal.timeout(120_000));
    expect(counters).toMatchObject({ accepted: COUNT, sent: COUNT });
    const ledger = await readLedger(api, id);
    expect([...ledger.values()].every(({ status, attempts }) => status === "sent" && attempts === 1)).toBe(true);

    const boxed = async (): Promise<Buffer[] | false> => {
      const all = await delivered(receiver);
      return all.length >= COUNT && all;
    };
    const arrived = await until(boxed, { what: `${name} to deliver ${COUNT} messages`, timeoutMs: 60_000 });
    if (arrived === false) throw new Error("until() gave nothing");
    const seen: string[] = [];
    for (const bytes of arrived) {
      expect(await dkimResults(bytes, dns.address)).toEqual(["pass"]);
      const mail = await partsOf(bytes);
      const to = mail.to.join(" ");
      const variables = recipients.find(({ address }) => address === to)?.variables;
      expect(mail.subject).toContain(`${variables?.["first"]}, your ${variables?.["season"]} picks`);
      expect(mail.html).toContain(`${variables?.["points"]} points`);
      expect(mail.header("List-Unsubscribe-Post")).toBe("List-Unsubscribe=One-Click");
      expect(bytes.toString("latin1")).toMatch(/b\+[a-z2-7]{31}@bounces\.sender\.example/);
      seen.push(to);
    }
    expect(seen.sort()).toEqual(recipients.map(({ address }) => address).sort());
  });
}
