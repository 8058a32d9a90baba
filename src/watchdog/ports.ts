/** Nobody is told a port that a server chooses itself: where the settings say 0, one is chosen here, for the server and for who asks it. */
import type { Settings } from "../config/settings.ts";
import { runsRedirector } from "../config/tracking-place.ts";
import { freePort } from "./free-port.ts";

/** Variables for the modules' environment. */
export async function choosePorts(settings: Settings): Promise<Record<string, string>> {
  const { stat, web, redirector } = settings;
  const chosen = new Map<string, number>();
  for (const [name, runs, port] of [
    ["STAT", stat.run, stat.port],
    ["WEB", true, web.port],
    ["REDIRECTOR", runsRedirector(settings), redirector.port],
  ] as const) {
    if (!runs || port !== 0) continue;
    let free = await freePort();
    // The system may give the same one twice: it was let go in between.
    while ([...chosen.values()].includes(free)) free = await freePort();
    chosen.set(`POSTILION_${name}__PORT`, free);
  }
  return Object.fromEntries([...chosen].map(([name, port]) => [name, String(port)]));
}
