/**
 * Where message ids come from. An id is volume << 32 | number; numbers are handed out by the row of their volume in a transaction of its
 * own, so nobody waits for somebody else's batch, and a number that was taken and not used is a gap, which is allowed.
 *
 * A big delivery gets a volume of its own at its first batch; small ones share the newest shared volume, which is left after a day or
 * five million numbers. Transactional messages take their numbers from a block this process holds: no round trip, no hot row.
 */
import type { Clock } from "../base/clock.ts";
import type { AnySql, Sql } from "./sql.ts";

/** A first batch of at least so many recipients gets its delivery a volume of its own. */
export const OWN_VOLUME_ROWS = 20_000;
const SHARED_VOLUME_NUMBERS = 5_000_000;
const VOLUME_SIZE = 2 ** 32;
/** Serialises the opening of shared volumes between machines. */
const OPENING_LOCK = 7_301_001;

export function volumeOfId(id: number): number {
  return Math.floor(id / VOLUME_SIZE);
}

/** The leaf of table `message` (or `event`) that holds a volume. */
export function leafName(table: "message" | "event", volume: number): string {
  return `${table}_${volume}`;
}

/** Takes `count` numbers of a volume; the first of their ids. Commits at once. */
export async function takeIds(sql: Sql, volume: number, count: number): Promise<number> {
  const [row] = await sql<{ next: number }[]>`
    update volume set next = next + ${count} where id = ${volume} returning next`;
  if (row === undefined) throw new RangeError(`there is no volume ${volume}`);
  return volume * VOLUME_SIZE + row.next - count;
}

/** The volume new small deliveries go to, opened when there is none that is young enough and has room. */
export async function sharedVolume(sql: Sql): Promise<number> {
  return (await newestShared(sql)) ?? (await sql.begin((tx) => openShared(tx)));
}

async function newestShared(sql: AnySql): Promise<number | undefined> {
  const [row] = await sql<{ id: number }[]>`
    select id from volume where not own and opened_at > now() - interval '1 day' and next < ${SHARED_VOLUME_NUMBERS}
    order by id desc limit 1`;
  return row?.id;
}

async function openShared(tx: AnySql): Promise<number> {
  await tx`select pg_advisory_xact_lock(${OPENING_LOCK})`;
  // Somebody else may have opened it while we waited for the lock.
  const there = await newestShared(tx);
  if (there !== undefined) return there;
  const [row] = await tx<{ id: number }[]>`select open_volume(false) as id`;
  return row!.id;
}

/** The volume of a delivery, chosen now if it has none yet: its own when `own`. null: there is no such delivery. */
export async function volumeOfDelivery(sql: Sql, deliveryId: number, own: boolean): Promise<number | null> {
  const [known] = await sql<{ volume: number | null }[]>`select volume from delivery where id = ${deliveryId}`;
  if (known === undefined) return null;
  if (known.volume !== null) return known.volume;
  return sql.begin(async (tx) => {
    // Two uploads may begin at once: the row lock lets one of them choose.
    const [row] = await tx<{ volume: number | null }[]>`
      select volume from delivery where id = ${deliveryId} for no key update`;
    if (row === undefined) return null;
    if (row.volume !== null) return row.volume;
    let volume: number;
    if (own) volume = (await tx<{ id: number }[]>`select open_volume(true) as id`)[0]!.id;
    else volume = (await newestShared(tx)) ?? (await openShared(tx));
    await tx`update delivery set volume = ${volume} where id = ${deliveryId}`;
    return volume;
  });
}

export interface IdPool {
  /** `count` (1…1000) ids in a row in a shared volume, and that volume. */
  take(count: number): Promise<{ firstId: number; volume: number }>;
}

const BLOCK = 2_000;
/** A block is left after ten minutes, so a volume that is old enough to be dropped gets no new message. */
const BLOCK_AGE_MS = 600_000;

/** Ids for small deliveries, from blocks this process takes. What is left of a block at the end is a gap. */
export function openIdPool(sql: Sql, clock: Clock): IdPool {
  let next = 0;
  let end = 0;
  let takenAt = 0;
  let refilling: Promise<void> | undefined;

  async function refill(): Promise<void> {
    const volume = await sharedVolume(sql);
    next = await takeIds(sql, volume, BLOCK);
    end = next + BLOCK;
    takenAt = clock.monotonic();
  }

  return {
    async take(count) {
      while (next + count > end || clock.monotonic() > takenAt + BLOCK_AGE_MS) {
        refilling ??= refill().finally(() => (refilling = undefined));
        await refilling;
      }
      const firstId = next;
      next += count;
      return { firstId, volume: volumeOfId(firstId) };
    },
  };
}

/** Puts a delivery that was made in this transaction into a volume. */
export async function setVolume(tx: AnySql, deliveryId: number, volume: number): Promise<void> {
  await tx`update delivery set volume = ${volume} where id = ${deliveryId}`;
}
