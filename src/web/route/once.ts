/** `Idempotency-Key` for the requests that make something: the same key and request again get the same answer and make nothing. */
import { createHash } from "node:crypto";
import { once, type StoredAnswer } from "../../db/idempotency.ts";
import type { AnySql, Sql } from "../../db/sql.ts";
import type { ApiToken } from "../../db/tokens.ts";
import { Problem } from "../../http/problem.ts";
import type { Reply, Request } from "../../http/server.ts";

/** Does `work` in a transaction and sends its answer. `single`: it is one statement, which without a key needs no transaction. */
export async function answerOnce(
  sql: Sql,
  call: { readonly token: ApiToken; readonly request: Request; readonly reply: Reply },
  single: boolean,
  work: (tx: AnySql) => Promise<StoredAnswer>,
): Promise<unknown> {
  const { request, reply, token } = call;
  const key = request.headers["idempotency-key"];
  let done: StoredAnswer;
  if (key === undefined) {
    done = single ? await work(sql) : await sql.begin((tx) => work(tx));
  } else {
    if (typeof key !== "string" || !/^[!-~]{1,255}$/.test(key)) {
      throw new Problem(400, "Idempotency-Key must have 1 to 255 visible ASCII characters", {
        errors: [{ path: "header.idempotency-key", message: "must have 1 to 255 visible ASCII characters" }],
      });
    }
    const print = createHash("sha256")
      .update(`${request.method} ${request.url}\n`)
      .update(JSON.stringify(request.body ?? null))
      .digest();
    const result = await once(sql, { tokenId: token.id, key, request: print }, work);
    if (result.kind === "conflict") throw new Problem(422, "this Idempotency-Key was used for another request");
    if (result.kind === "busy") {
      throw new Problem(409, "the first request with this Idempotency-Key is still at work", { retryAfter: 1 });
    }
    if (result.replayed) reply.header("idempotency-replayed", "true");
    done = result;
  }
  reply.code(done.status).type("application/json; charset=utf-8");
  // Stored as text, so the second answer is the first one to the byte.
  return done.answer;
}
