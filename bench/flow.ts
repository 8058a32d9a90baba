/**
 * End to end: durable recipients to durable outcomes, on the same 11 KB newsletter (240 substitutions, 60 links), signed with RSA-2048
 * and not, against nodemailer's pool with Handlebars and its own DKIM, Postfix relaying ready messages, and the limit of the machine.
 * All of them in turns in one call, on the machine's own two cores, sinks and database included.
 *
 *     npm run bench -- flow [--rounds 3] [--count 15000]
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeSigningKey } from "../demo/appliance.ts";
import { deliver, openBenchAppliance, submit } from "./appliance.ts";
import { type Limit, measureLimit } from "./flow/limit.ts";
import { openBenchSink } from "./flow/sink.ts";
import { openPostfixRelay } from "./peers/postfix.ts";
import { runNodemailer } from "./peers/run-nodemailer.ts";
import { sampleMessage } from "./flow/sample.ts";
import type { BenchOptions } from "./bench.ts";
import { median, printTable, round, spread } from "./table.ts";

export async function flow(options: BenchOptions): Promise<Record<string, unknown>> {
  const rounds = Number(options.values["rounds"] ?? (options.short ? 1 : 3));
  const count = Number(options.values["count"] ?? (options.short ? 6000 : 15_000));
  const sink = await openBenchSink();
  const appliance = await openBenchAppliance({ relayPort: sink.port });
  const postfix = await openPostfixRelay(sink.port);
  const keyFile = join(appliance.folder, "peer.pem");
  await writeFile(keyFile, makeSigningKey().pem);
  const message = sampleMessage();
  const speeds: Record<string, number[]> = {
    signed: [],
    unsigned: [],
    nodemailerSigned: [],
    nodemailer: [],
    postfix: [],
  };
  const limits: Limit[] = [];
  const note = (name: string, value: number): void => void speeds[name]?.push(value);
  try {
    // Not counted: code gets hot, the pool of PostgreSQL fills, sessions are opened.
    for (const signed of [true, false])
      await deliver(appliance, (await submit(appliance, { count: 3000, signed, seed: 99 })).id);
    for (let i = 0; i < rounds; i++) {
      for (const signed of [true, false]) {
        const { id } = await submit(appliance, { count, signed, seed: i });
        note(signed ? "signed" : "unsigned", (await deliver(appliance, id)).perSecond);
      }
      const few = Math.ceil(count / 5);
      note(
        "nodemailer",
        (await runNodemailer({ port: sink.port, count: few, connections: 20, keyFile: "" })).perSecond,
      );
      note(
        "nodemailerSigned",
        (await runNodemailer({ port: sink.port, count: few, connections: 20, keyFile })).perSecond,
      );
      if (postfix !== null) note("postfix", (await postfix.relay(Math.ceil(count / 10), message.length)).perSecond);
      limits.push(await measureLimit(sink, message, Math.min(count, 10_000)));
    }
  } finally {
    await postfix?.close();
    await appliance.close();
    await sink.close();
  }
  const of = (name: string): number => median(speeds[name] ?? []);
  const ratio = (a: string, b: string): number =>
    (speeds[b] ?? []).length === 0
      ? 0
      : round(median((speeds[a] ?? []).map((value, i) => value / (speeds[b]?.[i] ?? 1))));
  const signedLimit = median(limits.map((l) => l.signed));
  const unsignedLimit = median(limits.map((l) => l.unsigned));
  printTable(
    ["messages a second", "median", "lowest", "highest"],
    Object.entries(speeds)
      .filter(([, values]) => values.length > 0)
      .map(([name, values]) => [
        name,
        ...[median(values), Math.min(...values), Math.max(...values)].map((v) => Math.round(v)),
      ])
      .concat([
        ["limit signed", Math.round(signedLimit), ...minMax(limits.map((l) => l.signed))],
        ["limit unsigned", Math.round(unsignedLimit), ...minMax(limits.map((l) => l.unsigned))],
      ]),
  );
  console.log(
    `\nlimit = cores ÷ (signature ${round(median(limits.map((l) => l.signUs)), 0)} µs + write ${round(median(limits.map((l) => l.writeUs)), 0)} µs` +
      ` + read ${round(median(limits.map((l) => l.readUs)), 0)} µs); sink: ${sink.kind}; ${count} messages of ${message.length} bytes, ${rounds} rounds`,
  );
  return {
    postilion: { signed: Math.round(of("signed")), unsigned: Math.round(of("unsigned")) },
    ratios: {
      nodemailer: ratio("unsigned", "nodemailer"),
      nodemailerSigned: ratio("signed", "nodemailerSigned"),
      postfix: ratio("signed", "postfix"),
      ofLimit: round(median((speeds["signed"] ?? []).map((v, i) => v / (limits[i]?.signed ?? 1)))),
      ofLimitUnsigned: round(median((speeds["unsigned"] ?? []).map((v, i) => v / (limits[i]?.unsigned ?? 1)))),
    },
    spread: round(spread(speeds["signed"] ?? [])),
  };
}

const minMax = (values: readonly number[]): number[] => [
  Math.round(Math.min(...values)),
  Math.round(Math.max(...values)),
];
