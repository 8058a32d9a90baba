/** /v1/deliveries: make, list, look at, command. */
import { createDelivery, findDelivery, listDeliveries } from "../db/deliveries.ts";
import { resolveInDoubt } from "../db/in-doubt.ts";
import { insertBatch } from "../db/recipients.ts";
import type { AnySql } from "../db/sql.ts";
import { COMMANDS, changeState } from "../db/states.ts";
import { setVolume } from "../db/volumes.ts";
import { Problem, type ProblemItem } from "../http/problem.ts";
import { deliveryAnswer } from "./answers.ts";
import { affinityRefusal } from "./affinity.ts";
import type { ApiContext } from "./context.ts";
import { prepare } from "./content.ts";
import { layOut } from "./intake/layout.ts";
import { answerOnce } from "./route/once.ts";
import { byId, deliveryPage, newDelivery, reasoned, resolution } from "./requests.ts";
import { addRoute } from "./route/route.ts";
import { openEta } from "./why/eta.ts";
import { readObjectRow, type RecipientRow } from "./intake/rows.ts";

export function addDeliveryRoutes(context: ApiContext): void {
  const { sql, clock, defaults } = context;
  const eta = openEta(context.why);

  /** The settings may have lost the affinity since the delivery was made: no mta would ever take it. */
  async function requireAffinity(id: number, command: string): Promise<void> {
    const found = await findDelivery(sql, id);
    if (found === null) throw absent();
    const refused = affinityRefusal(found.affinity, defaults.affinities);
    if (refused !== "") throw new Problem(409, `${command} is not possible: affinity ${found.affinity}: ${refused}`);
  }

  addRoute(context, {
    method: "POST",
    url: "/v1/deliveries",
    scope: "deliveries:write",
    summary: "Make a delivery; recipients may be uploaded next, or a few be given at once",
    body: newDelivery,
    async handle({ body, token, request, reply }) {
      const prepared = prepare(body, body.content, "content.", defaults, context.checkContent);
      if (body.notAfter !== undefined && body.notAfter <= clock.now()) {
        throw new Problem(400, "notAfter: has passed", { errors: [{ path: "notAfter", message: "has passed" }] });
      }
      const rows = readRecipients(body.recipients ?? [], context.settings.web.variablesLimitBytes);
      if (body.start && rows.length === 0) {
        throw new Problem(400, "start: a delivery without recipients cannot be started", {
          errors: [{ path: "start", message: "a delivery without recipients cannot be started" }],
        });
      }
      // Taken before the transaction: an id that is not used is a gap, a lock on the volume would make others wait.
      const ids = rows.length > 0 ? await context.ids.take(rows.length) : null;
      return answerOnce(sql, { token, request, reply }, false, async (tx) => {
        const id = await createDelivery(tx, {
          ...prepared.settings,
          name: body.name,
          fromAddress: prepared.content.from.address,
          contentHash: prepared.contentHash,
          contentBody: prepared.contentBody,
          contentLinks: prepared.contentLinks,
        });
        if (ids !== null) await insertRows(tx, id, ids, rows, context.settings.mta.partSize);
        if (body.start) await changeState(tx, id, "start", "", token.name);
        const made = await findDelivery(tx, id);
        return { status: 201, answer: JSON.stringify(deliveryAnswer(made!, clock.now())) };
      });
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/deliveries",
    scope: "deliveries:read",
    summary: "Deliveries, newest first",
    query: deliveryPage,
    async handle({ query }) {
      const found = await listDeliveries(sql, { before: query.cursor, state: query.state ?? "", limit: query.limit });
      return {
        deliveries: found.map((d) => deliveryAnswer(d, clock.now())),
        nextCursor: found.length === query.limit ? String(found[found.length - 1]!.id) : null,
      };
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/deliveries/:id",
    scope: "deliveries:read",
    summary: "A delivery: state, settings, exact counters, rate, ETA under the limits of now",
    params: byId,
    async handle({ params }) {
      const found = await findDelivery(sql, params.id);
      if (found === null) throw absent();
      return deliveryAnswer(found, clock.now(), await eta(found));
    },
  });

  for (const command of COMMANDS) {
    addRoute(context, {
      method: "POST",
      url: `/v1/deliveries/:id/${command}`,
      scope: "deliveries:write",
      summary: `${command[0]!.toUpperCase()}${command.slice(1)} a delivery; done already is done`,
      params: byId,
      body: reasoned,
      async handle({ params, body, token }) {
        if (command === "start" || command === "resume") await requireAffinity(params.id, command);
        const changed = await changeState(sql, params.id, command, body.reason, token.name);
        if (changed.kind === "absent") throw absent();
        if (changed.kind === "refused") {
          throw new Problem(409, `${command} is not possible: ${changed.why}`);
        }
        const found = await findDelivery(sql, params.id);
        return deliveryAnswer(found!, clock.now());
      },
    });
  }

  addRoute(context, {
    method: "POST",
    url: "/v1/deliveries/:id/in-doubt",
    scope: "deliveries:write",
    summary: "Decide about held messages: send them again, or take them as sent",
    params: byId,
    body: resolution,
    async handle({ params, body }) {
      const resolved = await resolveInDoubt(sql, params.id, body.action);
      if (resolved === null) throw absent();
      return { resolved };
    },
  });
}

export function absent(): Problem {
  return new Problem(404, "there is no such delivery");
}

/** Recipients given in the request itself: all of them must be right, and an address given twice counts once. */
function readRecipients(given: readonly Record<string, unknown>[], limit: number): RecipientRow[] {
  const errors: ProblemItem[] = [];
  const rows = new Map<string, RecipientRow>();
  given.forEach((fields, i) => {
    const row = readObjectRow({ ...fields }, limit);
    if (typeof row === "string") errors.push({ path: `recipients.${i}`, message: row });
    else if (!rows.has(row.address)) rows.set(row.address, row);
  });
  if (errors.length > 0) {
    throw new Problem(400, `${errors[0]!.path}: ${errors[0]!.message}`, { errors: errors.slice(0, 100) });
  }
  return [...rows.values()];
}

async function insertRows(
  tx: AnySql,
  deliveryId: number,
  ids: { firstId: number; volume: number },
  rows: readonly RecipientRow[],
  partSize: number,
): Promise<void> {
  const layout = layOut(rows, partSize);
  await setVolume(tx, deliveryId, ids.volume);
  await insertBatch(
    tx,
    {
      deliveryId,
      volume: ids.volume,
      firstId: ids.firstId,
      addresses: layout.addresses,
      variables: layout.variables,
      parts: layout.parts.map((p) => ({ ...p, firstId: p.firstId + ids.firstId, lastId: p.lastId + ids.firstId })),
    },
    // Two spellings of one address differ only for us: the ledger folds their case.
    true,
  );
}
