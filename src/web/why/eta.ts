/**
 * The time a delivery will take, for its own page: asked of limits and DNS at most every few seconds, and never waited for longer than a moment:
 * who does not get it in time gets the estimate by rate, and the next one finds it.
 */
import type { DeliveryRecord } from "../../db/deliveries.ts";
import type { Eta } from "../../model/eta.ts";
import { etaByRate } from "../answers.ts";
import { whyDelivery } from "./delivery.ts";
import type { WhyDeps } from "./gather.ts";

const PATIENCE_MS = 500;
const KEPT_MS = 5_000;
const KEPT_MOST = 1_000;

/** Never rejects. */
export function openEta(deps: WhyDeps): (delivery: DeliveryRecord) => Promise<Eta> {
  const { clock } = deps;
  const kept = new Map<number, { readonly until: number; readonly eta: Promise<Eta | null> }>();

  function known(delivery: DeliveryRecord): Promise<Eta | null> {
    const now = clock.monotonic();
    const last = kept.get(delivery.id);
    if (last !== undefined && last.until > now) return last.eta;
    kept.delete(delivery.id);
    if (kept.size >= KEPT_MOST) kept.delete(kept.keys().next().value!);
    const eta = whyDelivery(deps, delivery.id).then(
      (why) => why?.eta ?? null,
      // The database was there a moment ago: the answer that this is part of does not fail for an estimate.
      () => null,
    );
    kept.set(delivery.id, { until: now + KEPT_MS, eta });
    return eta;
  }

  return async (delivery) => {
    const byRate = etaByRate(delivery, clock.now());
    const { pending, deferred } = delivery.counters;
    if (delivery.state !== "sending" || pending + deferred === 0) return byRate;
    const late = Promise.withResolvers<null>();
    const timer = clock.after(PATIENCE_MS, () => late.resolve(null));
    const eta = await Promise.race([known(delivery), late.promise]);
    timer.cancel();
    return eta ?? byRate;
  };
}
