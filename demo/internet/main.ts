/** The process of the pretend Internet: opens it when told to and answers questions about it (messages.ts) until the channel closes. */
import { openDns } from "./dns.ts";
import { openInternet } from "./internet.ts";
import type { Internet } from "./internet.ts";
import { openLetters } from "./letters.ts";
import type { Answer, Request } from "./messages.ts";
import { isReader } from "../readers/who.ts";

let internet: Internet | undefined;

async function answerTo(request: Request): Promise<Answer> {
  if (request.ask === "open") {
    const { seed, recipients } = request;
    const letters = openLetters((address) => isReader(address, seed, recipients));
    internet = await openInternet({ seed, now: () => Date.now() }, letters);
    const dns = await openDns([...internet.zone, ...request.records]);
    return { answer: "opened", opened: { dns: dns.address, port: internet.port, hosts: internet.hosts.length } };
  }
  if (internet === undefined) return { answer: "error", text: "the pretend Internet is not open" };
  const { received, hosts } = internet;
  const receipt = await received.report(request.folder);
  const counts = hosts.map(({ name, character, counts: of }) => ({ name, character, ...of }));
  const report = { ...receipt, total: received.total, firstAt: received.firstAt, peak: received.peak, counts };
  return { answer: "report", report };
}

process.on("message", (request: Request) => {
  answerTo(request).then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ answer: "error", text: String(error) } satisfies Answer),
  );
});
// Ctrl-C reaches the whole process group; it is the parent who decides when the Internet ends, after the appliance.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit(0));
