/** Load without wrk: undici over so many connections, one request at a time on each. argv: port, seconds, connections, file of paths. */
import { readFileSync } from "node:fs";
import { Pool } from "undici";
import { percentile, round } from "../table.ts";
import { AGENT } from "./load.ts";

const [port, seconds, connections] = process.argv.slice(2, 5).map(Number) as [number, number, number];
const paths = readFileSync(process.argv[5] ?? "", "utf8")
  .trim()
  .split("\n");
const pool = new Pool(`http://127.0.0.1:${port}`, { connections, pipelining: 1 });
const headers = { "user-agent": AGENT, accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
const taken: number[] = [];
let errors = 0;
let next = 0;
const began = performance.now();
const end = began + seconds * 1000;

async function worker(): Promise<void> {
  while (performance.now() < end) {
    const at = performance.now();
    const answer = await pool.request({ method: "GET", path: paths[next++ % paths.length] as string, headers });
    await answer.body.dump();
    if (answer.statusCode !== 302) errors++;
    taken.push(performance.now() - at);
  }
}

await Promise.all(Array.from({ length: connections }, worker));
const result = {
  requests: taken.length,
  seconds: (performance.now() - began) / 1000,
  errors,
  p50Ms: round(percentile(taken, 0.5)),
  p99Ms: round(percentile(taken, 0.99)),
};
console.log(JSON.stringify(result));
process.exit(0);
