/** Times functions one after the other, and the only importer of tinybench. The unit is the end of a function's name: `Us` or `Ns`. */
import { Bench } from "tinybench";

/** Median time of each function, `seconds` for all of them together. */
export async function medians(
  functions: Readonly<Record<string, () => void>>,
  seconds: number,
): Promise<Record<string, number>> {
  const names = Object.entries(functions);
  const bench = new Bench({ time: (seconds * 1000) / names.length, warmupTime: 100 });
  for (const [name, run] of names) bench.add(name, run);
  await bench.run();
  return Object.fromEntries(bench.tasks.map((task) => [task.name, median(task.name, task.result)]));
}

function median(name: string, result: unknown): number {
  // Milliseconds in tinybench.
  const { latency } = result as { latency: { p50: number } };
  return name.endsWith("Ns") ? Math.round(latency.p50 * 1e6) : Math.round(latency.p50 * 1e5) / 100;
}
