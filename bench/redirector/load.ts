/**
 * The load: distinct tokens and links over a number of connections, by wrk where it is installed (one thread of it outruns any of the servers), else by a
 * generator of our own in a process of its own, which costs the machine more and says less.
 */
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Load {
  readonly requests: number;
  readonly seconds: number;
  /** Answers other than 302, and what broke. */
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface LoadOptions {
  readonly port: number;
  readonly seconds: number;
  readonly connections: number;
  /** One path a line. */
  readonly paths: string;
  /** Command to put before it, to bind it to its core. */
  readonly pinned: readonly string[];
}

export const AGENT =
  "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

export function hasWrk(): boolean {
  return spawnSync("wrk", ["-v"], { stdio: "ignore" }).error === undefined;
}

export async function runLoad(options: LoadOptions, wrk: boolean): Promise<Load> {
  const { port, seconds, connections, paths, pinned } = options;
  const [program = "", ...args] = wrk
    ? [...pinned, "wrk", "-t1", `-c${connections}`, `-d${seconds}s`, "-s", scriptOf(paths), `http://127.0.0.1:${port}/`]
    : [
        ...pinned,
        process.execPath,
        join(import.meta.dirname, "generator.ts"),
        ...[port, seconds, connections].map(String),
        paths,
      ];
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject).once("close", () => resolve());
  });
  const line = output.trim().split("\n").at(-1) ?? "";
  if (!line.startsWith("{")) throw new Error(`the load generator said: ${output.slice(-1000)}`);
  return JSON.parse(line) as Load;
}

/** Every request is made beforehand: Lua is not to be what is measured. */
function scriptOf(paths: string): string {
  const file = `${paths}.lua`;
  writeFileSync(
    file,
    `local requests, n, wrong = {}, 0, 0
init = function()
  local headers = { ["User-Agent"] = "${AGENT}", ["Accept"] = "text/html,application/xhtml+xml,*/*;q=0.8", ["Accept-Language"] = "en-US,en;q=0.9", ["Accept-Encoding"] = "gzip, deflate, br" }
  for path in io.lines("${paths}") do requests[#requests + 1] = wrk.format("GET", path, headers) end
end
request = function()
  n = n % #requests + 1
  return requests[n]
end
done = function(summary, latency)
  local e = summary.errors
  print(string.format('{"requests":%d,"seconds":%f,"errors":%d,"p50Ms":%f,"p99Ms":%f}', summary.requests, summary.duration / 1e6,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
`,
  );
  return file;
}
