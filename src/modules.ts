/** The process table: which modules there are, in which order they start, and how many processes each has. */
import type { Settings } from "./config/settings.ts";
import { redirectorsOf, runsRedirector } from "./config/tracking-place.ts";
import type { BareStart, Start } from "./service.ts";

export interface ModuleRow {
  readonly name: string;
  /** Lower ones start first and stop last. */
  readonly runLevel: number;
  readonly processes: (settings: Settings) => number;
  /** Imported only in the process that runs it. */
  readonly load: () => Promise<{ readonly start: Start } | { readonly bareStart: BareStart }>;
}

export const MODULES: readonly ModuleRow[] = [
  {
    name: "stat",
    runLevel: 10,
    processes: (s) => (s.stat.run ? 1 : 0),
    load: () => import("./stat/start.ts"),
  },
  {
    name: "redirector",
    runLevel: 15,
    processes: (s) => (runsRedirector(s) ? 1 : 0),
    load: () => import("./redirector/start.ts"),
  },
  {
    name: "mta",
    runLevel: 20,
    processes: (s) => s.mta.processes,
    load: () => import("./mta/start.ts"),
  },
  {
    name: "workflow",
    runLevel: 25,
    processes: (s) => (s.workflow.run && redirectorsOf(s).length > 0 ? 1 : 0),
    load: () => import("./workflow/start.ts"),
  },
  { name: "web", runLevel: 30, processes: () => 1, load: () => import("./web/start.ts") },
];
