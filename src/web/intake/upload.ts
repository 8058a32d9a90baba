/**
 * An upload: chunks in, committed batches out, in memory that does not grow with it. While the database takes one batch the next is parsed;
 * when that is full too, the source is not read on, so TCP slows the client down. A batch is committed when it has 10,000 rows or 8 MB, or
 * after five seconds of a slow client, so an interrupted upload has lost little of what was sent.
 *
 * Every row ends in exactly one count: accepted (with excluded in it), duplicate, or invalid.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { addRecipients, type BatchResult } from "../../db/recipients.ts";
import type { Sql } from "../../db/sql.ts";
import { OWN_VOLUME_ROWS, takeIds, volumeOfDelivery } from "../../db/volumes.ts";
import { lineFaultReason, openCsv } from "../../http/csv.ts";
import { openLines } from "../../http/lines.ts";
import { Problem } from "../../http/problem.ts";
import { layOut } from "./layout.ts";
import { openCsvRows, readJsonRow, type CsvRows, type RecipientRow } from "./rows.ts";

export interface UploadCounts {
  /** Rows added to the ledger, the excluded ones included. */
  accepted: number;
  /** Left out because the delivery has the address already. */
  duplicate: number;
  /** Of the accepted: suppressed, and never sent. */
  excluded: number;
  invalid: number;
  /** The first hundred. */
  readonly errors: { readonly line: number; readonly reason: string }[];
  /** Lines read so far, empty ones included. */
  lines: number;
  /** Everything up to this line is committed. */
  committedLines: number;
}

export interface UploadOptions {
  readonly sql: Sql;
  readonly deliveryId: number;
  readonly format: "ndjson" | "csv";
  readonly partSize: number;
  readonly variablesLimitBytes: number;
}

export interface Upload {
  readonly counts: UploadCounts;
  /** Takes a chunk. Resolves when the next one is welcome. Throws UploadClosed and what the database throws. */
  push(chunk: Buffer): Promise<void>;
  /** The source is over: commits the rest. */
  finish(): Promise<void>;
  /** The source broke: commits nothing more than what is under way, and resolves when that has ended. */
  settle(): Promise<void>;
}

/** The delivery takes no recipients any more. */
export class UploadClosed extends Error {}

/** The first batch decides whether the delivery is a big one. */
const FIRST_BATCH_ROWS = OWN_VOLUME_ROWS;
/** As fast as 25,000 and 50,000 (the index decides), with stalls of the event loop under 10 ms. */
const BATCH_ROWS = 10_000;
const BATCH_CHARS = 8 * 1024 * 1024;
const BATCH_AGE_MS = 5_000;
const MOST_LINE_BYTES = 1024 * 1024;
const MOST_ERRORS = 100;

export function openUpload(options: UploadOptions): Upload {
  const { sql, deliveryId } = options;
  const counts: UploadCounts = {
    accepted: 0,
    duplicate: 0,
    excluded: 0,
    invalid: 0,
    errors: [],
    lines: 0,
    committedLines: 0,
  };
  let rows: RecipientRow[] = [];
  let seen = new Set<string>();
  let chars = 0;
  let mostRows = FIRST_BATCH_ROWS;
  let began = 0;
  /** The batch the database is at; never rejects, its failure is kept. */
  let flight: Promise<void> | undefined;
  let failure: unknown;
  let expectRepeats = false;

  function take(row: RecipientRow | string, line: number): void {
    if (typeof row === "string") {
      counts.invalid++;
      if (counts.errors.length < MOST_ERRORS) counts.errors.push({ line, reason: row });
      return;
    }
    const key = sameness(row.address);
    if (seen.has(key)) {
      counts.duplicate++;
      return;
    }
    seen.add(key);
    if (rows.length === 0) began = performance.now();
    rows.push(row);
    chars += row.address.length + row.variables.length;
  }

  const sink = options.format === "csv" ? csvSink(options, take) : jsonSink(options, take);
  const lines = openLines(MOST_LINE_BYTES, {
    line(text, number) {
      counts.lines = number;
      sink.line(text, number);
    },
    fault(fault, number) {
      counts.lines = number;
      sink.fault(fault, number);
    },
  });

  async function commit(batch: readonly RecipientRow[], upTo: number): Promise<void> {
    const volume = await volumeOfDelivery(sql, deliveryId, batch.length >= OWN_VOLUME_ROWS);
    if (volume === null) throw new UploadClosed();
    const layout = layOut(batch, options.partSize);
    const firstId = await takeIds(sql, volume, batch.length);
    const result: BatchResult | null = await addRecipients(
      sql,
      {
        deliveryId,
        volume,
        firstId,
        addresses: layout.addresses,
        variables: layout.variables,
        parts: layout.parts.map((p) => ({ ...p, firstId: p.firstId + firstId, lastId: p.lastId + firstId })),
      },
      expectRepeats,
    );
    if (result === null) throw new UploadClosed();
    expectRepeats ||= result.repeated;
    counts.accepted += result.pending + result.excluded;
    counts.excluded += result.excluded;
    counts.duplicate += batch.length - result.pending - result.excluded;
    counts.committedLines = upTo;
  }

  /** Hands the rows at hand to the database, when it has taken those before. */
  async function flush(): Promise<void> {
    await flight;
    if (failure !== undefined) throw failure;
    if (rows.length === 0) return;
    mostRows = BATCH_ROWS;
    const batch = rows;
    const upTo = counts.lines;
    rows = [];
    seen = new Set();
    chars = 0;
    flight = commit(batch, upTo).catch((error: unknown) => {
      failure = error;
    });
  }

  return {
    counts,
    async push(chunk) {
      // A chunk of gzip or of a socket has 64 KB; what hands in more is cut, so that a batch stays a batch.
      for (let at = 0; at < chunk.length; at += 65_536) {
        lines.push(chunk.subarray(at, at + 65_536));
        const old = rows.length > 0 && performance.now() - began > BATCH_AGE_MS;
        if (rows.length >= mostRows || chars >= BATCH_CHARS || old) await flush();
        if (failure !== undefined) throw failure;
        // A fast client's chunks are all here already: without a turn of the event loop the answers of the database, and everybody
        // else's requests, would wait until the whole next batch is parsed (half of the time was lost so).
        await nextTurn();
      }
    },
    async finish() {
      lines.end();
      sink.end();
      await flush();
      await flight;
      if (failure !== undefined) throw failure;
      counts.committedLines = counts.lines;
    },
    async settle() {
      await flight;
    },
  };
}

type Take = (row: RecipientRow | string, line: number) => void;

interface Sink {
  line(text: string, number: number): void;
  fault(fault: "too-long" | "not-utf-8", number: number): void;
  end(): void;
}

function jsonSink({ variablesLimitBytes }: UploadOptions, take: Take): Sink {
  return {
    line(text, number) {
      if (number === 1 && text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      if (text === "" || text.trim() === "") return;
      take(readJsonRow(text, variablesLimitBytes), number);
    },
    fault: (fault, number) => take(lineFaultReason(fault), number),
    end() {},
  };
}

function csvSink({ variablesLimitBytes }: UploadOptions, take: Take): Sink {
  let rows: CsvRows | undefined;
  return openCsv({
    record(fields, number) {
      if (rows === undefined) {
        const opened = openCsvRows(fields);
        // Without a header that will do, no line can be understood.
        if (typeof opened === "string")
          throw new Problem(400, opened, { errors: [{ path: `line ${number}`, message: opened }] });
        rows = opened;
        return;
      }
      take(rows.read(fields, variablesLimitBytes), number);
    },
    fault(reason, number) {
      take(reason, number);
    },
  });
}

/**
 * What makes two addresses the same one, never coarser than the ledger's lower("C"), which folds ASCII letters only: what is too fine
 * here is found by the database; what were too coarse would lose a recipient.
 */
function sameness(address: string): string {
  // eslint-disable-next-line no-control-regex
  return /^[\x00-\x7f]*$/.test(address) ? address.toLowerCase() : address;
}
