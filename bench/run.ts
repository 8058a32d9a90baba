/**
 * `npm run bench [-- <name> [options]]`: the table of benches. Without a name all of them run in order, shortly. Each prints a table
 * and, as its last line, one JSON object; what compares two things runs them interleaved in one call and gives ratios with their spread.
 */
import { parseArgs } from "node:util";
import type { Bench } from "./bench.ts";

interface Row {
  readonly name: string;
  readonly about: string;
  /** Left out when all run: takes minutes by its nature. */
  readonly long?: boolean;
  readonly load: () => Promise<Bench>;
}

const BENCHES: readonly Row[] = [
  {
    name: "micro",
    about: "render, quoted-printable, DKIM, reply parsing, session write path (tinybench)",
    load: async () => (await import("./micro.ts")).micro,
  },
  {
    name: "flow",
    about: "end to end against nodemailer, Postfix and the limit of the machine",
    load: async () => (await import("./flow.ts")).flow,
  },
  {
    name: "far",
    about: "50 ms to the sink, 20 connections, against the nodemailer pool",
    load: async () => (await import("./far.ts")).far,
  },
  {
    name: "accept",
    about: "recipients from HTTP to durable rows",
    load: async () => (await import("./accept.ts")).accept,
  },
  {
    name: "latency",
    about: "POST /v1/messages to the first byte at the sink, idle and under load",
    load: async () => (await import("./latency.ts")).latency,
  },
  {
    name: "scale",
    about: "memory and speed of a delivery of 200,000 against one of 10,000",
    load: async () => (await import("./scale.ts")).scale,
  },
  {
    name: "hosts",
    about: "one quota for three mta hosts and a stat host in network namespaces, cut off and killed meanwhile",
    long: true,
    load: async () => (await import("./hosts.ts")).hosts,
  },
  {
    name: "stat",
    about: "the statistics server: rounds of acquire and grant a second, and how soon a grant follows room",
    load: async () => (await import("./stat.ts")).stat,
  },
  {
    name: "redirector",
    about:
      "durable clicks a second on one core, against a bare server that syncs as much and knows nothing; hits counted a second",
    load: async () => (await import("./redirector.ts")).redirector,
  },
  {
    name: "quota-sim",
    about: "the real quota engine and client on virtual time, with everything that breaks, against an oracle",
    load: async () => (await import("./quota-sim.ts")).quotaSim,
  },
  {
    name: "bounces",
    about:
      "mails and replies that tell of failures: how well (with a folder of labelled ones) and how fast they are understood",
    load: async () => (await import("./bounces.ts")).bounces,
  },
  {
    name: "chaos",
    about: "kill -9 again and again in a delivery: nothing lost, doubles only in doubt",
    long: true,
    load: async () => (await import("./chaos.ts")).chaos,
  },
];

async function main(): Promise<number> {
  const [name = "", ...rest] = process.argv.slice(2);
  if (name === "--help" || name === "help") {
    for (const { name: each, about } of BENCHES) console.log(`${each.padEnd(10)} ${about}`);
    return 0;
  }
  if (name !== "" && !name.startsWith("--")) {
    const row = BENCHES.find((bench) => bench.name === name);
    if (row === undefined) {
      console.error(`no bench ${name}; there are: ${BENCHES.map((bench) => bench.name).join(", ")}`);
      return 2;
    }
    const result = await (
      await row.load()
    )({ short: rest.includes("--short"), values: valuesOf(rest), places: placesOf(rest) });
    console.log(JSON.stringify({ bench: row.name, ...result }));
    return 0;
  }
  const results: Record<string, unknown> = {};
  for (const row of BENCHES.filter((bench) => bench.long !== true)) {
    console.log(`\n# ${row.name}: ${row.about}`);
    results[row.name] = await (await row.load())({ short: true, values: {} });
    console.log(JSON.stringify({ bench: row.name, ...(results[row.name] as object) }));
  }
  console.log(JSON.stringify({ bench: "all", ...results }));
  return 0;
}

/** What is no option and no option's value. */
function placesOf(args: readonly string[]): string[] {
  const { tokens } = parseArgs({ args: [...args], strict: false, allowPositionals: true, tokens: true });
  return tokens.flatMap((token, i) => {
    const before = tokens[i - 1];
    const value = before?.kind === "option" && before.value === undefined;
    return token.kind === "positional" && !value ? [token.value] : [];
  });
}

/** `--rounds 5 --seed 1` as an object; a flag without value is "true". */
function valuesOf(args: readonly string[]): Record<string, string> {
  const { tokens } = parseArgs({ args: [...args], strict: false, allowPositionals: true, tokens: true });
  const values: Record<string, string> = {};
  tokens.forEach((token, i) => {
    if (token.kind !== "option") return;
    const next = tokens[i + 1];
    values[token.name] = token.value ?? (next?.kind === "positional" ? next.value : "true");
  });
  return values;
}

process.exitCode = await main();
