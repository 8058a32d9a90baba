/**
 * A far-away site: 50 ms of latency at the sink, 20 connections. Pipelining across messages needs one round trip a message, CHUNKING less;
 * against nodemailer's pool with as many connections, in turns.
 *
 *     npm run bench -- far [--rounds 3] [--count 4000] [--latency 50]
 */
import { deliver, openBenchAppliance, submit } from "./appliance.ts";
import { openBenchSink } from "./flow/sink.ts";
import { runNodemailer } from "./peers/run-nodemailer.ts";
import type { BenchOptions } from "./bench.ts";
import { median, printTable, round, spread } from "./table.ts";

export async function far(options: BenchOptions): Promise<Record<string, unknown>> {
  const rounds = Number(options.values["rounds"] ?? (options.short ? 1 : 3));
  const count = Number(options.values["count"] ?? (options.short ? 2000 : 4000));
  const latencyMs = Number(options.values["latency"] ?? 50);
  const data = await openBenchSink({ bundled: true, latencyMs });
  const chunking = await openBenchSink({ bundled: true, latencyMs, chunking: true });
  const byData = await openBenchAppliance({ relayPort: data.port });
  const byChunks = await openBenchAppliance({ relayPort: chunking.port });
  const speeds = { pipelined: [] as number[], chunking: [] as number[], nodemailer: [] as number[] };
  try {
    for (let i = 0; i < rounds; i++) {
      for (const [name, appliance] of [
        ["pipelined", byData],
        ["chunking", byChunks],
      ] as const) {
        const { id } = await submit(appliance, { count, signed: false, seed: i });
        speeds[name].push((await deliver(appliance, id)).perSecond);
      }
      const few = Math.ceil(count / 4);
      speeds.nodemailer.push(
        (await runNodemailer({ port: data.port, count: few, connections: 20, keyFile: "" })).perSecond,
      );
    }
  } finally {
    await byData.close();
    await byChunks.close();
    await data.close();
    await chunking.close();
  }
  printTable(
    [`messages a second, ${latencyMs} ms away, 20 connections`, "median", "lowest", "highest"],
    Object.entries(speeds).map(([name, v]) => [
      name,
      Math.round(median(v)),
      Math.round(Math.min(...v)),
      Math.round(Math.max(...v)),
    ]),
  );
  const against = (values: readonly number[]): number =>
    round(median(values.map((v, i) => v / (speeds.nodemailer[i] ?? 1))));
  return {
    latencyMs,
    pipelined: Math.round(median(speeds.pipelined)),
    chunking: Math.round(median(speeds.chunking)),
    nodemailer: Math.round(median(speeds.nodemailer)),
    ratios: { pipelined: against(speeds.pipelined), chunking: against(speeds.chunking) },
    spread: round(spread(speeds.pipelined)),
  };
}
