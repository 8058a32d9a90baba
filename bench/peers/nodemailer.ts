/**
 * The peer every Node programmer would build: nodemailer's pooled transport, Handlebars compiled once, nodemailer's own DKIM. A process
 * of its own; waits for a line on standard input, sends, prints one JSON line with the messages sent and the seconds taken.
 *
 *     node bench/peers/nodemailer.ts --port 2525 --count 5000 --connections 5 [--key key.pem]
 */
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { parseArgs } from "node:util";
import Handlebars from "handlebars";
import { createTransport } from "nodemailer";
import { newsletter, recipient } from "../newsletter.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "25" },
    count: { type: "string", default: "1000" },
    connections: { type: "string", default: "5" },
    key: { type: "string", default: "" },
  },
});
const count = Number(values.count);
const sample = newsletter();
const subject = Handlebars.compile(sample.subject, { noEscape: true });
const html = Handlebars.compile(sample.html);
const text = Handlebars.compile(sample.text, { noEscape: true });
const transport = createTransport({
  host: "127.0.0.1",
  port: Number(values.port),
  secure: false,
  ignoreTLS: true,
  pool: true,
  maxConnections: Number(values.connections),
  maxMessages: Number.POSITIVE_INFINITY,
  ...(values.key === ""
    ? {}
    : { dkim: { domainName: "sender.example", keySelector: "bench", privateKey: readFileSync(values.key, "utf8") } }),
});

process.stdout.write("ready\n");
await once(process.stdin, "data");
const began = performance.now();
let next = 0;
let sent = 0;
async function worker(): Promise<void> {
  while (next < count) {
    const { address, variables } = recipient(next++, 1, ["receiver.example"]);
    await transport.sendMail({
      from: "News <news@sender.example>",
      to: address,
      envelope: { from: `b+${next}@bounces.sender.example`, to: address },
      subject: subject(variables),
      html: html(variables),
      text: text(variables),
      headers: {
        "List-Unsubscribe": `<https://t.sender.example/u/${next}>`,
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
      },
    });
    sent++;
  }
}
// Twice the connections, so that a message is ready when a connection is.
await Promise.all(Array.from({ length: 2 * Number(values.connections) }, worker));
const seconds = (performance.now() - began) / 1000;
transport.close();
process.stdout.write(`${JSON.stringify({ sent, seconds })}\n`);
process.exit(0);
