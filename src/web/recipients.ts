/** PUT|POST /v1/deliveries/{id}/recipients: a streamed list of any size. */
import { randomUUID } from "node:crypto";
import type { Readable } from "node:stream";
import { endUpload, touchUpload } from "../db/recipients.ts";
import type { Sql } from "../db/sql.ts";
import { openBody } from "../http/body.ts";
import { Problem } from "../http/problem.ts";
import type { ApiContext } from "./context.ts";
import { byId } from "./requests.ts";
import { addRoute } from "./route/route.ts";
import { openUpload, UploadClosed, type UploadCounts } from "./intake/upload.ts";

/** Content types of a list. */
export const LIST_TYPES = ["application/x-ndjson", "application/jsonl", "text/csv"] as const;

/** An upload says that often that it is still at work, far more often than the minute after which it would be forgotten. */
const TOUCH_MS = 20_000;

export function addRecipientRoutes(context: ApiContext): void {
  const { sql, settings } = context;
  const uploads = openUploads(sql, settings.web.uploads);
  for (const method of ["PUT", "POST"] as const) {
    addRoute(context, {
      method,
      url: "/v1/deliveries/:id/recipients",
      scope: "deliveries:write",
      summary: "Add recipients: NDJSON or CSV, streamed, gzip accepted; what is there already is left out",
      params: byId,
      takes: LIST_TYPES,
      long: true,
      async handle({ params, request, reply }) {
        const type = request.headers["content-type"] ?? "";
        if (!LIST_TYPES.some((known) => type.toLowerCase().startsWith(known)) || request.body === undefined) {
          throw new Problem(415, `send the list as ${LIST_TYPES.join(", ")}`);
        }
        const source = request.body as Readable;
        const close = await uploads.open(params.id);
        const upload = openUpload({
          sql,
          deliveryId: params.id,
          format: type.toLowerCase().startsWith("text/csv") ? "csv" : "ndjson",
          partSize: settings.mta.partSize,
          variablesLimitBytes: settings.web.variablesLimitBytes,
        });
        try {
          for await (const chunk of openBody(source, request.headers["content-encoding"])) await upload.push(chunk);
          await upload.finish();
          reply.code(200);
          return told(upload.counts);
        } catch (error) {
          await upload.settle();
          // A request that was cut before its end: whatever broke here broke because of it.
          const gone = request.raw.destroyed && !request.raw.complete;
          throw interrupted(gone ? GONE : error, upload.counts, params.id, context, request.id);
        } finally {
          await close();
        }
      },
    });
  }
}

/** Read by nobody but the log. */
const GONE = new Problem(400, "the client went away");

function told(counts: UploadCounts): object {
  const { accepted, duplicate, excluded, invalid, errors, lines } = counts;
  return { accepted, duplicate, excluded, invalid, errors, lines };
}

/** What broke the upload, with how far it got: everything up to `committedLines` is in the ledger for good. */
function interrupted(error: unknown, counts: UploadCounts, id: number, context: ApiContext, request: string): Problem {
  const known =
    error instanceof Problem
      ? error
      : error instanceof UploadClosed
        ? new Problem(409, "the delivery was finished or stopped meanwhile")
        : context.explain(error);
  context.log.warn(
    { delivery: id, request, accepted: counts.accepted, committedLines: counts.committedLines, err: error },
    "an upload was interrupted",
  );
  return new Problem(
    known?.status ?? 500,
    known?.message ?? `the upload broke; it is in the log as request ${request}`,
    {
      ...known?.extras,
      errors: [
        ...(known?.extras.errors ?? []),
        ...counts.errors.map((e) => ({ path: `line ${e.line}`, message: e.reason })),
      ],
      members: {
        accepted: counts.accepted,
        duplicate: counts.duplicate,
        excluded: counts.excluded,
        invalid: counts.invalid,
        lines: counts.lines,
        committedLines: counts.committedLines,
      },
    },
  );
}

interface Uploads {
  /** Takes one of the places and says in the ledger that an upload is at work; the function returned ends that. Throws Problem 429, 404, 409. */
  open(deliveryId: number): Promise<() => Promise<void>>;
}

function openUploads(sql: Sql, most: number): Uploads {
  let open = 0;
  return {
    async open(id) {
      if (open >= most) throw new Problem(429, `${most} uploads are at work already`, { retryAfter: 5 });
      open++;
      const upload = randomUUID();
      try {
        const touched = await touchUpload(sql, id, upload);
        if (touched === null) throw new Problem(404, "there is no such delivery");
        if (!touched.open) throw new Problem(409, `the delivery takes no recipients: it is ${touched.state}`);
      } catch (error) {
        open--;
        throw error;
      }
      // A database that is away for one of these is noticed by the batches.
      let touching: Promise<unknown> = Promise.resolve();
      const timer = setInterval(() => (touching = touchUpload(sql, id, upload).catch(() => null)), TOUCH_MS);
      return async () => {
        clearInterval(timer);
        open--;
        // One at work would say that it goes on after it has ended.
        await touching;
        // Forgotten after a minute in any case.
        await endUpload(sql, id, upload).catch(() => undefined);
      };
    },
  };
}
