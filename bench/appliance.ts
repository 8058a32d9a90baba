/**
 * The whole appliance for a bench: `postilion start` in a process of its own, embedded PostgreSQL with its normal durability, everything
 * through the public API. Mail From signed.example is signed with RSA-2048, mail From plain.example is not.
 */
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Api, openApi } from "../demo/api.ts";
import { makeSigningKey, startAppliance } from "../demo/appliance.ts";
import { newsletter, recipient } from "./newsletter.ts";

export interface BenchAppliance {
  readonly api: Api;
  readonly url: string;
  readonly token: string;
  readonly folder: string;
  /** Process id of the newest process of a module, from the log. */
  pid(module: string): Promise<number>;
  /** The log so far. */
  log(): Promise<string>;
  close(): Promise<void>;
}

export interface BenchApplianceOptions {
  /** Where all mail is relayed to. */
  readonly relayPort: number;
  /** More settings of `mta`. */
  readonly mta?: Record<string, unknown>;
  /** The program; src/main.ts when not given. */
  readonly main?: string;
}

export async function openBenchAppliance(options: BenchApplianceOptions): Promise<BenchAppliance> {
  const folder = await mkdtemp(join(tmpdir(), "postilion-bench-"));
  // The embedded PostgreSQL runs as a user of its own when we are root, and must get through.
  await chmod(folder, 0o755);
  const key = makeSigningKey();
  const appliance = await startAppliance({
    ...(options.main !== undefined && { main: options.main }),
    folder,
    key,
    settings: {
      machine: "bench",
      stat: { rules: [{ mx: "*", connections: 20, messagesPerConnection: 1_000_000, tls: "disabled" }] },
      web: { port: 0, requestsPerSecond: 100_000 },
      mta: {
        helo: "mta.sender.example",
        relay: { host: "127.0.0.1", port: options.relayPort },
        ...options.mta,
      },
      dkim: [{ domain: "signed.example", selector: "bench", keyFile: join(folder, "dkim.pem") }],
      tracking: { url: "https://t.sender.example" },
    },
  });
  const log = (): Promise<string> => readFile(join(folder, "appliance.log"), "utf8");
  return {
    api: openApi(appliance.url, appliance.token),
    url: appliance.url,
    token: appliance.token,
    folder,
    log,
    async pid(module) {
      const pids = [
        ...(await log()).matchAll(/^\{.*"module":"(\w+)".*"pid":(\d+)|^\{.*"pid":(\d+).*"module":"(\w+)"/gm),
      ]
        .map((m) => ({ module: m[1] ?? m[4], pid: Number(m[2] ?? m[3]) }))
        .filter((m) => m.module === module);
      const last = pids.at(-1);
      if (last === undefined) throw new Error(`no process of ${module} in the log`);
      return last.pid;
    },
    async close() {
      await appliance.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface UploadAnswer {
  readonly accepted: number;
  readonly duplicate: number;
  readonly invalid: number;
}

export interface DeliveryAnswer {
  readonly id: number;
  readonly state: string;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly counters: Record<string, number>;
}

/** A delivery of the newsletter with `count` recipients, uploaded and not started. Lines are made before the clock starts. */
export async function submit(
  { api }: BenchAppliance,
  options: { count: number; signed: boolean; seed: number; domains?: readonly string[] },
): Promise<{ id: number; uploadSeconds: number; answer: UploadAnswer }> {
  const { id } = await api.call<{ id: number }>("POST", "/v1/deliveries", {
    name: `bench ${options.count}`,
    content: newsletter(),
    from: { name: "News", address: `news@${options.signed ? "signed" : "plain"}.example` },
    listUnsubscribe: true,
    // What it is compared with rewrites no links; `micro` has what they cost.
    tracking: false,
    retrySchedule: [1],
  });
  const lines: string[] = [];
  const domains = options.domains ?? ["receiver.example"];
  for (let i = 0; i < options.count; i++) lines.push(`${JSON.stringify(recipient(i, options.seed, domains))}\n`);
  const began = performance.now();
  const answer = await api.upload<UploadAnswer>(`/v1/deliveries/${id}/recipients`, lines);
  return { id, uploadSeconds: (performance.now() - began) / 1000, answer };
}

/** Starts a delivery and waits for its end; messages a second from `startedAt` to `finishedAt`, both the ledger's own. */
export async function deliver(
  { api }: BenchAppliance,
  id: number,
  limitMs = 300_000,
): Promise<{ perSecond: number; seconds: number; delivery: DeliveryAnswer }> {
  await api.call("POST", `/v1/deliveries/${id}/start`);
  const until = Date.now() + limitMs;
  for (;;) {
    const delivery = await api.call<DeliveryAnswer>("GET", `/v1/deliveries/${id}`);
    if (delivery.state === "finished") {
      const seconds = (Date.parse(delivery.finishedAt) - Date.parse(delivery.startedAt)) / 1000;
      return { perSecond: (delivery.counters["sent"] ?? 0) / seconds, seconds, delivery };
    }
    if (Date.now() > until)
      throw new Error(`delivery ${id} is still ${delivery.state}: ${JSON.stringify(delivery.counters)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
