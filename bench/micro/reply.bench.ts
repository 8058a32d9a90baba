/** Reading replies: the common answers of a server, in the pieces they come in. Nanoseconds an operation, median. */
import { capabilities } from "../../src/smtp/capabilities.ts";
import { enhancedCode, openReplyParser, replyText, type Reply } from "../../src/smtp/reply.ts";
import { medians } from "./median.ts";

const ONE = Buffer.from("250 2.0.0 Ok: queued as 4bX2hJ5Kz9zLm\r\n");
/** What one message costs when it is pipelined: dot, MAIL, RCPT, DATA. */
const MESSAGE = Buffer.concat([
  ONE,
  Buffer.from("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n"),
]);
const EHLO = Buffer.from(
  "250-mx.example.com\r\n250-PIPELINING\r\n250-SIZE 52428800\r\n250-STARTTLS\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n",
);

export async function run(options: { seconds: number }): Promise<Record<string, number>> {
  const parser = openReplyParser();
  let last: Reply = { code: 0, lines: [""] };
  const take = (reply: Reply): boolean => {
    last = reply;
    return true;
  };
  const tasks = {
    oneReplyNs: () => void parser.push(ONE, take),
    fourRepliesNs: () => void parser.push(MESSAGE, take),
    splitReplyNs: () => {
      parser.push(ONE.subarray(0, 20), take);
      parser.push(ONE.subarray(20), take);
    },
    ehloNs: () => {
      parser.push(EHLO, take);
      capabilities(last);
    },
    textAndCodeNs: () => {
      parser.push(ONE, take);
      replyText(last);
      enhancedCode(last);
    },
  };
  return medians(tasks, options.seconds);
}
