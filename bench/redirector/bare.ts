/**
 * What ours is measured against, in a process of its own: a bare node:http server that answers a constant 302. argv: a file to append a constant record to and
 * sync before each answer, by groups, as fast as we know how (O_DSYNC, one write for all that came in a turn); '' for none.
 */
import { constants, openSync, write } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const [file = ""] = process.argv.slice(2);
const HEADERS = [
  "location",
  "https://www.example.com/offers/spring?product=1234",
  "cache-control",
  "no-store",
  "content-length",
  "0",
];
/** As long as a record of ours. */
const LINE = `${"0123456789abcdef".repeat(12)}\n`;

const fd =
  file === "" ? -1 : openSync(file, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_DSYNC);
let waiting: ServerResponse[] = [];
let busy = false;
let planned = false;

const answer = (response: ServerResponse): void => {
  response.writeHead(302, HEADERS);
  response.end();
};

function plan(): void {
  if (planned || busy || waiting.length === 0) return;
  planned = true;
  setImmediate(flush);
}

function flush(): void {
  planned = false;
  busy = true;
  const group = waiting;
  waiting = [];
  const bytes = Buffer.from(LINE.repeat(group.length), "latin1");
  write(fd, bytes, 0, bytes.length, null, (error) => {
    if (error !== null) throw error;
    busy = false;
    for (const response of group) answer(response);
    plan();
  });
}

const server = createServer({ noDelay: true }, (_request, response) => {
  if (fd < 0) return answer(response);
  waiting.push(response);
  plan();
});
server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on("SIGTERM", () => process.exit(0));
process.on("disconnect", () => process.exit(0));
