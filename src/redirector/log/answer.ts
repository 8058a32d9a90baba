/**
 * `GET /log?after=<position>&limit=<records>&wait=<ms>&log=<id>&pulled=<position>`: the tracking log for the workflow that pulls it. Raw lines as they stand in
 * the file, packed when that is accepted. What is before `pulled` (without it: before `after`) is kept elsewhere by now; who asks for more while
 * it still keeps the last answer says so. What a line is worth is the puller's to find out.
 *
 *     x-log   id of this log                   x-next  position to ask for next
 *     x-host  name of this machine             x-lost  hits that could not be written since this process began
 *     x-gap   octets before x-next that are not there any more
 *
 * 409 when `log` is another log's id: whoever asks has to begin at 0 of the log that x-log names. 409 with x-resume when this log never gave out such a
 * position, because its folder was put back from a copy: to go on there.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";
import { isNot, sendNothing, sendText } from "../answers.ts";
import type { TrackingLog } from "../log.ts";

const MOST_RECORDS = 100_000;
const MOST_WAIT_MS = 60_000;
/** Smaller answers are not worth packing. */
const LEAST_PACKED = 1024;
/** The quickest: three quarters of the best for a tenth of the time. */
const PACKING = { level: constants.Z_BEST_SPEED };

export async function answerLog(
  log: TrackingLog,
  host: string,
  request: IncomingMessage,
  response: ServerResponse,
  query: string,
): Promise<void> {
  if (isNot(request, response, "GET", "HEAD")) return;
  const parameters = new URLSearchParams(query);
  const after = numberOf(parameters, "after", 0, Number.MAX_SAFE_INTEGER);
  const limit = numberOf(parameters, "limit", 10_000, MOST_RECORDS);
  const wait = numberOf(parameters, "wait", 0, MOST_WAIT_MS);
  const pulled = numberOf(parameters, "pulled", after ?? 0, Number.MAX_SAFE_INTEGER);
  if (after === null || limit === null || limit === 0 || wait === null || pulled === null)
    return sendText(response, 400, "text/plain; charset=utf-8", "after, limit, wait and pulled are whole numbers\n");
  const facts = ["x-log", log.id, "x-host", host.replaceAll(/[^ -~]/g, "?"), "x-lost", String(log.facts.lost)];
  const asked = parameters.get("log");
  if (asked !== null && asked !== log.id) return sendNothing(response, 409, facts);
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  let piece = await log.read(after, limit);
  if (piece !== null) log.pulled(Math.min(after, pulled));
  if (piece?.next === after && wait > 0) {
    await log.wait(after, wait, gone.signal);
    piece = await log.read(after, limit);
  }
  if (piece === null) return sendNothing(response, 409, [...facts, "x-resume", String(log.resume)]);
  const packed = piece.bytes.length >= LEAST_PACKED && /\bgzip\b/i.test(`${request.headers["accept-encoding"] ?? ""}`);
  const body = packed ? await promisify(gzip)(piece.bytes, PACKING) : piece.bytes;
  response.writeHead(200, [
    "content-type",
    "application/octet-stream",
    "content-length",
    String(body.length),
    "cache-control",
    "no-store",
    ...(packed ? ["content-encoding", "gzip"] : []),
    ...facts,
    "x-next",
    String(piece.next),
    ...(piece.gap > 0 ? ["x-gap", String(piece.gap)] : []),
  ]);
  response.end(body);
}

/** null: none. What is too large is the largest. */
function numberOf(parameters: URLSearchParams, name: string, fallback: number, most: number): number | null {
  const text = parameters.get(name);
  if (text === null) return fallback;
  return /^\d{1,16}$/.test(text) ? Math.min(most, Number(text)) : null;
}
