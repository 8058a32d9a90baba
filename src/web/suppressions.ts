/** /v1/suppressions: addresses that get no mail; single ones, and all of them as CSV in and out. */
import { Readable } from "node:stream";
import {
  deleteSuppression,
  exportSuppressions,
  findSuppression,
  listSuppressions,
  putSuppressions,
  type SuppressionInput,
} from "../db/suppressions.ts";
import { openBody } from "../http/body.ts";
import { csvField, csvText, openCsv } from "../http/csv.ts";
import { openLines } from "../http/lines.ts";
import { Problem } from "../http/problem.ts";
import { parseAddress } from "../smtp/addresses.ts";
import { suppressionAnswer } from "./answers.ts";
import type { ApiContext } from "./context.ts";
import { byAddress, newSuppression, suppressionPage } from "./requests.ts";
import { addRoute } from "./route/route.ts";

export function addSuppressionRoutes(context: ApiContext): void {
  const { sql } = context;

  addRoute(context, {
    method: "GET",
    url: "/v1/suppressions",
    scope: "suppressions:read",
    summary: "Suppressed addresses in order; search is any piece of the address",
    query: suppressionPage,
    async handle({ query }) {
      const found = await listSuppressions(sql, { after: query.cursor, search: query.search, limit: query.limit });
      return {
        suppressions: found.map(suppressionAnswer),
        nextCursor: found.length === query.limit ? found[found.length - 1]!.address : null,
      };
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/suppressions/export",
    scope: "suppressions:read",
    summary: "All suppressed addresses as CSV",
    long: true,
    async handle({ reply }) {
      reply.type("text/csv; charset=utf-8").header("content-disposition", 'attachment; filename="suppressions.csv"');
      return reply.send(Readable.from(csvPages(sql)));
    },
  });

  addRoute(context, {
    method: "POST",
    url: "/v1/suppressions/import",
    scope: "suppressions:write",
    summary: "Add or replace from CSV: address, and reason, source, note, expires_at if wanted",
    takes: ["text/csv"],
    long: true,
    async handle({ request }) {
      if (!(request.headers["content-type"] ?? "").toLowerCase().startsWith("text/csv") || request.body === undefined) {
        throw new Problem(415, "send the list as text/csv");
      }
      return importCsv(context, request.body as Readable, request.headers["content-encoding"]);
    },
  });

  addRoute(context, {
    method: "GET",
    url: "/v1/suppressions/:address",
    scope: "suppressions:read",
    summary: "One suppressed address",
    params: byAddress,
    async handle({ params }) {
      const found = await findSuppression(sql, canonical(params.address));
      if (found === null) throw new Problem(404, "the address is not suppressed");
      return suppressionAnswer(found);
    },
  });

  addRoute(context, {
    method: "PUT",
    url: "/v1/suppressions/:address",
    scope: "suppressions:write",
    summary: "Suppress an address",
    params: byAddress,
    body: newSuppression,
    async handle({ params, body, reply }) {
      const address = canonical(params.address);
      const expiresAt = body.expiresAt === null ? null : new Date(body.expiresAt);
      const added = await putSuppressions(sql, [{ ...body, address, expiresAt }]);
      reply.code(added > 0 ? 201 : 200);
      return suppressionAnswer((await findSuppression(sql, address))!);
    },
  });

  addRoute(context, {
    method: "DELETE",
    url: "/v1/suppressions/:address",
    scope: "suppressions:write",
    summary: "Let an address have mail again",
    params: byAddress,
    async handle({ params, reply }) {
      if (!(await deleteSuppression(sql, canonical(params.address)))) {
        throw new Problem(404, "the address is not suppressed");
      }
      reply.code(204);
      return "";
    },
  });
}

/** As the ledger spells addresses; the table folds the case. */
function canonical(text: string): string {
  const parsed = parseAddress(text.trim());
  if (typeof parsed === "string")
    throw new Problem(400, `address: ${parsed}`, { errors: [{ path: "address", message: parsed }] });
  return parsed.address;
}

async function* csvPages(sql: ApiContext["sql"]): AsyncGenerator<string> {
  yield "address,reason,source,note,created_at,expires_at\r\n";
  for await (const page of exportSuppressions(sql)) {
    yield page
      .map((s) =>
        [
          csvField(s.address),
          ...[s.reason, s.source, s.note].map(csvText),
          s.createdAt.toISOString(),
          s.expiresAt?.toISOString() ?? "",
        ].join(","),
      )
      .join("\r\n")
      .concat("\r\n");
  }
}

const BATCH = 5_000;
const MOST_ERRORS = 100;
const MOST_LINE_BYTES = 64 * 1024;

/** Commits every 5,000 lines; doing it again changes nothing. */
async function importCsv({ sql }: ApiContext, source: Readable, encoding: string | undefined): Promise<object> {
  const counts = { added: 0, replaced: 0, invalid: 0, errors: [] as { line: number; reason: string }[] };
  let batch: SuppressionInput[] = [];
  let header: string[] | undefined;
  const fault = (reason: string, line: number): void => {
    counts.invalid++;
    if (counts.errors.length < MOST_ERRORS) counts.errors.push({ line, reason });
  };
  const csv = openCsv({
    record(fields, line) {
      if (header === undefined) {
        header = fields.map((name) =>
          name
            .trim()
            .toLowerCase()
            .replace(/^e-?mail$/, "address"),
        );
        // A list of bare addresses has no header: its first line is one already.
        if (header.includes("address")) return;
        if (fields.length > 1) throw new Problem(400, "the header has no column address or email");
        header = ["address"];
      }
      const row = readSuppression(header, fields);
      if (typeof row === "string") fault(row, line);
      else batch.push(row);
    },
    fault,
  });
  const lines = openLines(MOST_LINE_BYTES, csv);
  const flush = async (): Promise<void> => {
    // The last line about an address is the one that counts, within a batch as between them.
    const distinct = new Map(batch.map((row) => [row.address.toLowerCase(), row]));
    const added = await putSuppressions(sql, [...distinct.values()]);
    counts.added += added;
    counts.replaced += batch.length - added;
    batch = [];
  };
  for await (const chunk of openBody(source, encoding)) {
    lines.push(chunk);
    if (batch.length >= BATCH) await flush();
  }
  lines.end();
  csv.end();
  await flush();
  return counts;
}

function readSuppression(header: readonly string[], fields: readonly string[]): SuppressionInput | string {
  const value = (name: string): string =>
    (fields[header.indexOf(name)] ?? "")
      .trim()
      .slice(0, 500)
      .replaceAll(/\p{Cc}/gu, " ");
  const parsed = parseAddress((fields[header.indexOf("address")] ?? "").trim());
  if (typeof parsed === "string") return parsed;
  const expires = value("expires_at");
  const expiresAt = expires === "" ? null : new Date(expires);
  if (expiresAt !== null && Number.isNaN(expiresAt.getTime())) return "expires_at is not a time";
  return {
    address: parsed.address,
    reason: value("reason") || "import",
    source: value("source") || "import",
    note: value("note"),
    expiresAt,
  };
}
