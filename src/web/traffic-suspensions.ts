/**
 * /v1/traffic/suspensions: what people stop, and let go again: a site, a mask over exchanger names, an outgoing IP, or both together. It holds
 * within a second on every machine, survives restarts, and says who and why for ever. (A delivery is suspended by its own `pause`.)
 */
import { z } from "zod";
import { activeSuspensions, addSuspension, endSuspension, suspensionHistory } from "../db/traffic-holds.ts";
import { Problem } from "../http/problem.ts";
import { siteProblem } from "../model/suspension.ts";
import type { ApiContext } from "./context.ts";
import { domainProblem } from "./why/exchangers.ts";
import { byId, cursor, instant, limit, text } from "./requests.ts";
import { addRoute } from "./route/route.ts";
import { suspensionAnswer } from "./sites-answers.ts";

const newSuspension = z.strictObject({
  site: z
    .string()
    .max(600)
    .default("")
    .describe("A site's name, or a mask over exchanger names with * and ?; * is all"),
  publicId: z
    .number()
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .nullable()
    .default(null)
    .describe("An outgoing IP; null: all"),
  until: instant.nullable().default(null).describe("null: until it is resumed"),
  reason: text.min(1, "say why"),
});

const suspensionPage = z.strictObject({
  state: z.enum(["active", "all"]).default("active"),
  cursor,
  limit,
});

export function addSuspensionRoutes(context: ApiContext): void {
  const { sql, clock, why } = context;

  addRoute(context, {
    method: "POST",
    url: "/v1/traffic/suspensions",
    scope: "traffic:write",
    summary: "Suspend a site, an outgoing IP, or both",
    body: newSuspension,
    async handle({ body, token, reply }) {
      const wrong = (path: string, message: string): never => {
        throw new Problem(400, `${path}: ${message}`, { errors: [{ path, message }] });
      };
      const site = body.site.trim().toLowerCase();
      if (site === "" && body.publicId === null) wrong("site", "name a site or a publicId; * is everything");
      const problem = site === "" ? "" : siteProblem(site) || (await domainProblem(why.exchangers, site));
      if (problem !== "") wrong("site", problem);
      if (body.until !== null && body.until <= clock.now()) wrong("until", "has passed");
      const until = body.until === null ? null : new Date(body.until);
      const made = await addSuspension(sql, {
        site,
        publicId: body.publicId,
        reason: body.reason,
        by: token.name,
        until,
      });
      reply.code(201);
      return suspensionAnswer(made);
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/traffic/suspensions",
    scope: "traffic:read",
    summary: "Suspensions in force; with state=all every one there ever was, the newest first",
    query: suspensionPage,
    async handle({ query }) {
      if (query.state === "active") {
        const active = await activeSuspensions(sql);
        const from = active.filter(({ id }) => id > query.cursor);
        const page = from.slice(0, query.limit);
        return {
          suspensions: page.map(suspensionAnswer),
          nextCursor: page.length < from.length ? String(page.at(-1)!.id) : null,
        };
      }
      const page = await suspensionHistory(sql, { before: query.cursor, limit: query.limit });
      return {
        suspensions: page.map(suspensionAnswer),
        nextCursor: page.length === query.limit ? String(page.at(-1)!.id) : null,
      };
    },
  });

  addRoute(context, {
    method: "DELETE",
    url: "/v1/traffic/suspensions/:id",
    scope: "traffic:write",
    summary: "Resume: end a suspension. Mail comes back over a ramp, not at once",
    params: byId,
    async handle({ params, token }) {
      const ended = await endSuspension(sql, params.id, token.name);
      if (ended === null) throw new Problem(404, "no such suspension is in force");
      return { ...suspensionAnswer(ended), endedBy: token.name };
    },
  });
}
