/** What a mirror page is made from: a message as the ledger has it, and the content of its delivery. */
import { EVENT_TYPES } from "../model/delivery.ts";
import { ALL_LINKS } from "../model/stops.ts";
import { orGone } from "./messages.ts";
import type { Sql } from "./sql.ts";
import { leafName, volumeOfId } from "./volumes.ts";

export interface MirrorMessage {
  readonly id: number;
  readonly deliveryId: number;
  readonly address: string;
  /** JSON object, '' for none. */
  readonly variables: string;
  /** Hex. */
  readonly contentHash: string;
  /** Epoch ms, 0: not yet. */
  readonly sentAt: number;
  /** The delivery's links are disabled or have expired. */
  readonly stopped: boolean;
}

/** null: there is no such message, or no more. */
export async function findMirrorMessage(sql: Sql, id: number): Promise<MirrorMessage | null> {
  const volume = volumeOfId(id);
  if (volume < 1 || volume > 2_097_151) return null;
  const [row] = await orGone(sql<Omit<MirrorMessage, "id">[]>`
    select m.delivery_id as "deliveryId", m.address, coalesce(m.variables, '') as variables, encode(d.content_hash, 'hex') as "contentHash",
      coalesce((
        select extract(epoch from e.at) * 1000 from ${sql(leafName("event", volume))} e
        where e.message_id = m.id and e.type = ${EVENT_TYPES.indexOf("sent")} order by e.id desc limit 1
      ), 0)::float8 as "sentAt",
      exists (
        select from link_stop s where s.delivery_id = m.delivery_id and s.link = ${ALL_LINKS} and (s.disabled or s.expires_at <= now())
      ) as stopped
    from ${sql(leafName("message", volume))} m join delivery d on d.id = m.delivery_id
    where m.id = ${id}`);
  return row === undefined ? null : { id, ...row };
}
