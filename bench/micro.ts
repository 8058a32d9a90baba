/**
 * One hot function at a time: rendering, tracked links, quoted-printable, DKIM, reply parsing, the session's write path.
 *
 *     npm run bench -- micro [--seconds 6]
 */
import type { BenchOptions } from "./bench.ts";
import { run as dkim } from "./micro/dkim.bench.ts";
import { run as links } from "./micro/links.bench.ts";
import { run as quotedPrintable } from "./micro/quoted-printable.bench.ts";
import { run as render } from "./micro/render.bench.ts";
import { run as reply } from "./micro/reply.bench.ts";
import { run as session } from "./micro/session.bench.ts";
import { printTable } from "./table.ts";

export async function micro(options: BenchOptions): Promise<Record<string, unknown>> {
  const seconds = Number(options.values["seconds"] ?? (options.short ? 2 : 6));
  const result: Record<string, unknown> = {};
  const rows: (string | number)[][] = [];
  for (const [name, run] of Object.entries({ render, links, quotedPrintable, dkim, reply, session })) {
    const figures = await run({ seconds });
    result[name] = figures;
    for (const [figure, value] of Object.entries(figures)) rows.push([`${name} ${figure}`, value]);
  }
  printTable(["function, unit at the end of its name", "median"], rows);
  return result;
}
