/** A made and migrated PostgreSQL for a test that starts a server of its own: everything but the making is as in life. */
import { inject } from "vitest";
import { copyCluster } from "./cluster-copy.ts";

/** Puts one into a `dataDir`; `openEmbedded` then finds it there and starts it. */
export function putCluster(dataDir: string): void {
  copyCluster(inject("clusterFolder"), dataDir);
}
