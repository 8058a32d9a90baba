/**
 * From `POST /v1/messages` to the envelope of that message at the sink: on an idle appliance, and while a newsletter of many recipients goes
 * to the same site over the same connections.
 *
 *     npm run bench -- latency [--messages 300] [--newsletter 1000000]
 */
import { fork } from "node:child_process";
import { join } from "node:path";
import { sleep } from "../src/base/clock.ts";
import { openBenchAppliance, submit } from "./appliance.ts";
import type { BenchOptions } from "./bench.ts";
import { percentile, printTable, round } from "./table.ts";

export async function latency(options: BenchOptions): Promise<Record<string, unknown>> {
  const messages = Number(options.values["messages"] ?? (options.short ? 60 : 300));
  const recipients = Number(options.values["newsletter"] ?? (options.short ? 60_000 : 1_000_000));
  const seen = new Map<string, number>();
  const sink = fork(join(import.meta.dirname, "flow/stopwatch-sink.ts"));
  const port = await new Promise<number>((resolve) => {
    sink.on("message", (message: { port?: number; address?: string; at?: number }) => {
      if (message.port !== undefined) resolve(message.port);
      else if (message.address !== undefined && message.at !== undefined) seen.set(message.address, message.at);
    });
  });
  const appliance = await openBenchAppliance({ relayPort: port });
  try {
    await measure("warm", 30);
    const idle = await measure("idle", messages);
    const { id } = await submit(appliance, { count: recipients, signed: true, seed: 5 });
    await appliance.api.call("POST", `/v1/deliveries/${id}/start`);
    await sleep(1500);
    const loaded = await measure("loaded", messages);
    const after = await appliance.api.call<{ state: string; counters: Record<string, number> }>(
      "GET",
      `/v1/deliveries/${id}`,
    );
    if (after.state !== "sending")
      throw new Error(`the newsletter was ${after.state} before the measurement ended: take a larger one`);
    await appliance.api.call("POST", `/v1/deliveries/${id}/stop`);
    printTable(
      ["POST /v1/messages to the sink, ms", "p50", "p95", "p99", "highest"],
      [
        ["idle", ...row(idle)],
        [`while ${recipients.toLocaleString("en-US")} are being sent`, ...row(loaded)],
      ],
    );
    return {
      idle: { p50Ms: round(percentile(idle, 0.5)), p99Ms: round(percentile(idle, 0.99)) },
      loaded: { p50Ms: round(percentile(loaded, 0.5)), p99Ms: round(percentile(loaded, 0.99)), recipients },
    };
  } finally {
    await appliance.close();
    sink.disconnect();
  }

  /** One after another, each 5–45 ms after the last one was seen, so that they meet every phase of what else goes on. */
  async function measure(name: string, count: number): Promise<number[]> {
    const taken: number[] = [];
    for (let i = 0; i < count; i++) {
      const address = `latency.${name}.${i}@receiver.example`;
      const began = performance.timeOrigin + performance.now();
      await appliance.api.call("POST", "/v1/messages", {
        to: address,
        from: "Security <security@signed.example>",
        subject: "Your code",
        text: "Your code is {{code}}",
        variables: { code: String(i) },
      });
      const limit = Date.now() + 20_000;
      while (!seen.has(address)) {
        if (Date.now() > limit) throw new Error(`${address} did not arrive in 20 s`);
        await sleep(1);
      }
      taken.push((seen.get(address) ?? 0) - began);
      await sleep(5 + ((i * 13) % 41));
    }
    return taken;
  }
}

const row = (values: readonly number[]): number[] =>
  [0.5, 0.95, 0.99, 1].map((share) => round(percentile(values, share), 1));
