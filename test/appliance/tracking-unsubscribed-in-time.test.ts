/**
 * Somebody unsubscribes while more mail for them is waiting: a message that was deferred and is to be tried again, and one of a delivery that has not been
 * started. Neither is sent: the address is suppressed seconds after the click, and asked about when a message is claimed.
 */
import { expect, onTestFinished, test } from "vitest";
import { type Letter, readLetter } from "../../demo/readers/letter.ts";
import { POLITE } from "../../demo/internet/host.ts";
import { freePort } from "../support/free-port.ts";
import { askPort } from "../support/redirector.ts";
import { openTaking } from "../support/taking.ts";
import { until } from "../support/until.ts";
import { makeApplianceFolder } from "../support/whole-appliance.ts";

const ANN = "ann@busy.example";
const BOB = "bob@busy.example";
/** How long after a deferral it is tried again: longer than an unsubscription takes by far. */
const RETRY_S = 8;

interface Message {
  readonly id: number;
  readonly status: string;
  readonly reason: string;
  readonly attempts: number;
}

test("who unsubscribes gets nothing more, not even what was waiting", { timeout: 120_000 }, async () => {
  const letters = new Map<string, Buffer>();
  let busy = false;
  const host = await openTaking({
    manners: { ...POLITE, refuse: () => (busy ? "451 4.3.0 come back later" : "") },
    accept: ({ to, bytes }) => to.forEach((one) => letters.set(one, Buffer.from(bytes))),
  });
  onTestFinished(() => host.close());
  const port = await freePort();
  const folder = makeApplianceFolder({
    tracking: { url: `http://127.0.0.1:${port}` },
    redirector: { port },
    stat: { rules: [{ mx: "*", connections: 4, tls: "disabled" }] },
    mta: { helo: "mta.test", relay: { host: "127.0.0.1", port: host.port }, threads: 1 },
  });
  onTestFinished(() => folder.close());
  const { api, stop } = await folder.start();

  async function deliver(subject: string, start: boolean): Promise<number> {
    const { id } = await api.call<{ id: number }>("POST", "/v1/deliveries", {
      content: { subject, html: `<p>${subject}</p>` },
      from: "news@sender.example",
      listUnsubscribe: true,
      retrySchedule: [RETRY_S],
      recipients: [{ address: ANN }, { address: BOB }],
      start,
    });
    return id;
  }
  async function messageOf(id: number, address: string): Promise<Message> {
    const { messages } = await api.call<{ messages: Message[] }>(
      "GET",
      `/v1/deliveries/${id}/messages?address=${encodeURIComponent(address)}`,
    );
    return messages[0]!;
  }
  const ends = (id: number, address: string, status: string) =>
    until(async () => (await messageOf(id, address)).status === status, {
      what: `${address} to be ${status}`,
      timeoutMs: 60_000,
    });

  const first = await deliver("First", true);
  await ends(first, ANN, "sent");
  await ends(first, BOB, "sent");
  const letter: Letter = await readLetter(ANN, letters.get(ANN)!);
  // The second is deferred, the third waits for its start.
  busy = true;
  const second = await deliver("Second", true);
  await ends(second, ANN, "deferred");
  await ends(second, BOB, "deferred");
  const third = await deliver("Third", false);

  const answer = await askPort(port, new URL(letter.oneClick).pathname, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: "List-Unsubscribe=One-Click",
  });
  expect(answer.status).toBe(200);
  const suppression = await until(
    () => api.call<Record<string, unknown>>("GET", `/v1/suppressions/${encodeURIComponent(ANN)}`).catch(() => null),
    { what: "the address to be suppressed" },
  );
  expect(suppression).toMatchObject({ reason: "unsubscribed", source: "one-click" });
  // It is not because it was sent meanwhile that it is not sent.
  expect((await messageOf(second, ANN)).status).toBe("deferred");

  busy = false;
  await api.call("POST", `/v1/deliveries/${third}/start`);
  await ends(second, BOB, "sent");
  await ends(third, BOB, "sent");
  for (const id of [second, third]) {
    await ends(id, ANN, "excluded");
    const { reason } = await messageOf(id, ANN);
    expect(reason).toMatch(/^suppressed\b.*unsubscribed/);
  }
  expect(host.taken.get(ANN)).toBe(1);
  expect(host.taken.get(BOB)).toBe(3);
  const { events } = await api.call<{ events: { type: string }[] }>(
    "GET",
    `/v1/messages/${(await messageOf(first, ANN)).id}`,
  );
  expect(events.map(({ type }) => type)).toContain("unsubscribed");
  expect(await stop()).toBe(0);
});
