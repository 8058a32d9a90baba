/**
 * Members that ask as fast as they are answered, in a process of their own for bench/stat.ts: each has some requests out, and gives every
 * connection back as soon as it is granted. A round is an acquire, its grant and the release.
 *
 *     node bench/stat/load.ts <port> <secret> <members> <requests out per member> <rounds a second, 0: as many as can be>
 */
import { acquireLine, openMember, releaseLine } from "./member.ts";

const [port, secret = "", members, window, pace] = process.argv.slice(2);
const SITES = 50;
const PUBLIC_IDS = 4;
let rounds = 0;
let allowed = 0;

const waiting: (() => void)[] = [];
const paced = Number(pace) > 0;
if (paced)
  setInterval(() => {
    allowed = Math.min(allowed + Number(pace) / 200, Number(pace) / 20);
    while (allowed >= 1 && waiting.length > 0) {
      allowed--;
      waiting.shift()?.();
    }
  }, 5);

for (let m = 0; m < Number(members); m++) {
  let id = 0;
  const ask = (): void => {
    id++;
    member.say(acquireLine(id, `mx${id % SITES}.example`, id % PUBLIC_IDS, 20));
  };
  const member = await openMember(Number(port), Buffer.from(secret), `load${m}/0`, (granted) => {
    rounds++;
    member.say(releaseLine(granted));
    if (paced) waiting.push(ask);
    else ask();
  });
  for (let i = 0; i < Number(window); i++)
    if (paced) waiting.push(ask);
    else ask();
}
process.send?.("ready");
process.on("message", () => process.send?.({ rounds, at: performance.now(), cpu: process.cpuUsage() }));
process.on("disconnect", () => process.exit(0));
