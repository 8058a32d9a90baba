/**
 * The whole appliance, as an operator runs it: told to stop in the middle of a delivery, killed in the middle with everything it has started,
 * and started again on the same folder each time. All over the public API.
 */
import { expect, onTestFinished, test } from "vitest";
import { openTaking, people } from "../support/taking.ts";
import { until } from "../support/until.ts";
import { makeApplianceFolder, type RunningAppliance } from "../support/whole-appliance.ts";

interface Told {
  readonly state: string;
  readonly counters: Readonly<Record<string, number>>;
}

const COUNT = 2400;
const CONTENT = { subject: "Hello {{n}}", text: "Hello {{n}}" };

test(
  "SIGTERM drains and exits with 0, SIGKILL loses nothing; a start goes on where it was",
  { timeout: 150_000 },
  async () => {
    const host = await openTaking({ manners: { latencyMs: 5 } });
    onTestFinished(() => host.close());
    const folder = makeApplianceFolder({
      machine: "whole",
      stat: { leaderMs: 1500, rules: [{ mx: "*", connections: 4, tls: "disabled" }] },
      mta: {
        helo: "mta.test",
        relay: { host: "127.0.0.1", port: host.port },
        window: 1000,
        threads: 1,
      },
    });
    onTestFinished(() => folder.close());
    let appliance: RunningAppliance = await folder.start();
    const { id } = await appliance.api.call<{ id: number }>("POST", "/v1/deliveries", {
      content: CONTENT,
      from: "news@sender.example",
      retrySchedule: [1],
    });
    const lines = people(COUNT, 5).map((address, n) => JSON.stringify({ address, n }));
    await appliance.api.upload(`/v1/deliveries/${id}/recipients`, lines);
    await appliance.api.call("POST", `/v1/deliveries/${id}/start`);
    const told = (): Promise<Told> => appliance.api.call<Told>("GET", `/v1/deliveries/${id}`);
    const sums = ({ counters }: Told): number =>
      ["pending", "deferred", "sent", "failed", "bounced", "excluded", "cancelled", "inDoubt"].reduce(
        (sum, name) => sum + counters[name]!,
        0,
      );

    await until(() => host.order.length > 600, { what: "some to arrive", timeoutMs: 30_000 });
    expect(await appliance.stop()).toBe(0);
    const drained = host.order.length;
    expect(drained).toBeLessThan(COUNT);
    expect(folder.log()).not.toMatch(/does not finish draining|"level":50/);

    appliance = await folder.start();
    // What the ledger says after a drain is what has arrived, and nothing of it is in doubt; it may have gone on already.
    const after = await told();
    expect(after.counters["sent"]).toBeGreaterThanOrEqual(drained);
    expect(after.counters["inDoubt"]).toBe(0);
    expect(sums(after)).toBe(COUNT);
    await until(() => host.order.length > 1500, { what: "more to arrive", timeoutMs: 30_000 });
    await appliance.kill();
    expect(host.order.length).toBeLessThan(COUNT);

    appliance = await folder.start();
    await until(async () => (await told()).state === "finished", { what: "the delivery to end", timeoutMs: 60_000 });
    const end = await told();
    expect(end.counters).toMatchObject({ accepted: COUNT, sent: COUNT });
    expect(sums(end)).toBe(COUNT);
    expect(host.taken.size).toBe(COUNT);
    for (const [address, times] of host.taken) {
      if (times === 1) continue;
      // Twice only who was in doubt, and that is in its events.
      const page = await appliance.api.call<{ messages: { id: number }[] }>(
        "GET",
        `/v1/deliveries/${id}/messages?address=${encodeURIComponent(address)}`,
      );
      const { events } = await appliance.api.call<{ events: { type: string }[] }>(
        "GET",
        `/v1/messages/${page.messages[0]!.id}`,
      );
      expect(events.map(({ type }) => type)).toContain("in-doubt");
    }
    expect(await appliance.stop()).toBe(0);
  },
);
