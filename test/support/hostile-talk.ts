/**
 * One conversation of the hostile site (hostile-site.ts): a plain SMTP server with PIPELINING and CHUNKING or without, and at each stage the sins of
 * the recipient at hand. `mute` is the end of it: nothing is heard or said any more.
 */
import type { Socket } from "node:net";

/** Before a session is ready: each of these keeps the site from being reached once. */
export const GREETING_SINS = [
  "banner 421",
  "banner 554",
  "banner of 100 KB",
  "banner of one line of 100 KB",
  "banner garbage",
  "banner never",
  "close at once",
  "reset at once",
  "close after half a banner",
  "EHLO 5xx and HELO too",
  "EHLO garbage",
  "close after EHLO",
] as const;

export type GreetingSin = (typeof GREETING_SINS)[number] | "";

/** What a recipient may meet. The first word is the stage. */
const SINS = [
  "mail 451",
  "mail 421",
  "mail close",
  "rcpt 451",
  "rcpt 501",
  "rcpt 421",
  "rcpt close",
  "rcpt reset",
  "rcpt garbage",
  "rcpt 354",
  "rcpt half",
  "rcpt never",
  "rcpt twice",
  "data 451",
  "data 421",
  "data 250",
  "data close",
  "data never",
  "body early 452",
  "body early 250",
  "body close",
  "body reset",
  "dot 451",
  "dot 421",
  "dot close untaken",
  "dot close taken",
  "dot reset taken",
  "dot never taken",
  "dot never untaken",
  "dot half taken",
  "dot garbage taken",
] as const;
type Sin = (typeof SINS)[number] | "";

export interface World {
  readonly draw: (n: number) => number;
  /** Whether a recipient is refused in the end. */
  readonly refuses: (recipient: string) => boolean;
  /** By recipient: the sins it has still to meet. */
  readonly ahead: Map<string, Sin[]>;
  /** By site: connections so far, and its greeting sin if that is still to come. */
  readonly sites: Map<string, { connections: number; sin: GreetingSin }>;
  readonly taken: Map<string, number>;
  readonly refused: Set<string>;
  readonly committed: Map<string, number>;
}

const GARBAGE = Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x32, 0x35, 0x0d, 0x0d, 0x0a, 0xc3, 0x28, 0x0d, 0x0a]);

/** Talks to one client until it goes. `site` is the loopback address it called. */
export function converse(socket: Socket, site: string, world: World): void {
  const { draw } = world;
  const pipelining = draw(4) > 0;
  const chunking = draw(2) > 0;
  /** Every answer of this conversation byte by byte, or in 8-bit, or in many lines. */
  const manner = ["plain", "plain", "plain", "drip", "8-bit", "lines"][draw(6)];
  let mute = false;
  let held = Buffer.alloc(0);
  let state: "line" | "data" | "chunk" = "line";
  let awaited = 0;
  /** A transaction is open. */
  let from = false;
  let to = "";
  let sin: Sin = "";
  let answered: Sin = "";
  let speech = Promise.resolve();

  const commit = (name: string): void => void world.committed.set(name, (world.committed.get(name) ?? 0) + 1);
  const raw = (bytes: string | Buffer, drip = false): void => {
    if (mute) return;
    speech = speech.then(async () => {
      const all = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
      if (!drip) return void (socket.destroyed || socket.write(all));
      for (const byte of all) {
        if (socket.destroyed) return;
        socket.write(Buffer.of(byte));
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
  };
  const say = (code: number, text = "ok"): void => {
    if (manner === "8-bit") raw(`${code} ${text} \xe4\xf6\xfc \xff\r\n`);
    else if (manner === "lines") raw(`${code}-${text}\r\n`.repeat(5) + `${code} ${text}\r\n`);
    else raw(`${code} ${text}\r\n`, manner === "drip");
  };
  const end = (how: "close" | "reset"): void => {
    void speech.then(() => (how === "close" ? socket.end() : socket.resetAndDestroy()));
    mute = true;
  };
  const never = (): void => void (mute = true);

  const here = world.sites.get(site)!;
  here.connections++;
  // One a site, at its first call or at its second, while the first is open: the one rests the lane, the other must not.
  const sinful = here.sin !== "" && (here.connections === 2 || draw(2) === 0);
  const greetingSin = sinful ? here.sin : "";
  if (sinful) {
    commit(here.sin);
    here.sin = "";
  }
  socket.on("data", (bytes: Buffer) => {
    if (mute) return;
    held = Buffer.concat([held, bytes]);
    while (!mute && step());
  });
  socket.on("end", () => socket.end());
  greet();

  function greet(): void {
    switch (greetingSin) {
      case "banner 421":
        return void (say(421, "4.3.2 not now"), end("close"));
      case "banner 554":
        return void (say(554, "5.7.1 go away"), end("close"));
      case "banner of 100 KB":
        return raw(`${`220-${"x".repeat(70)}\r\n`.repeat(1300)}220 mx\r\n`);
      case "banner of one line of 100 KB":
        return raw(`220 ${"y".repeat(100_000)}\r\n`);
      case "banner garbage":
        return raw(GARBAGE);
      case "banner never":
        return never();
      case "close at once":
        return end("close");
      case "reset at once":
        return end("reset");
      case "close after half a banner":
        return void (raw("220 half"), end("close"));
      default:
        return say(220, "mx ESMTP");
    }
  }

  function ehlo(): void {
    if (greetingSin === "EHLO 5xx and HELO too") return say(550, "5.7.1 nobody is welcome");
    if (greetingSin === "EHLO garbage") return raw(GARBAGE);
    if (greetingSin === "close after EHLO") return end("close");
    const lines = ["mx", "8BITMIME", "SIZE 10000000", "ENHANCEDSTATUSCODES"];
    if (pipelining) lines.push("PIPELINING");
    if (chunking) lines.push("CHUNKING");
    raw(lines.map((line, i) => `250${i < lines.length - 1 ? "-" : " "}${line}\r\n`).join(""), manner === "drip");
  }

  function step(): boolean {
    if (state === "data") return data();
    if (state === "chunk") return chunk();
    const at = held.indexOf("\r\n");
    if (at < 0) return false;
    const line = held.toString("latin1", 0, at);
    held = held.subarray(at + 2);
    command(line);
    return true;
  }

  function command(line: string): void {
    const verb = line.split(" ", 1)[0]!.toUpperCase();
    if (verb === "EHLO" || verb === "HELO") return ehlo();
    if (verb === "MAIL") return mail();
    if (verb === "RCPT") return rcpt(/<(.*)>/.exec(line)![1]!);
    if (verb === "DATA") return dataCommand();
    if (verb === "BDAT") return bdat(Number(line.split(" ")[1]));
    if (verb === "RSET") return void ((from = false), (to = ""), say(250));
    if (verb === "QUIT") return void (say(221, "bye"), end("close"));
    say(500, "what?");
  }

  /** Whom this transaction is for is only known at RCPT; with PIPELINING it is there already. */
  function mail(): void {
    to = "";
    from = true;
    const next = /^RCPT TO:<([^>]*)>/m.exec(held.toString("latin1"))?.[1];
    const first = next === undefined ? undefined : sinsOf(next)[0];
    if (first?.startsWith("mail ") !== true) return say(250, "2.1.0 ok");
    sinsOf(next!).shift();
    commit(first);
    from = false;
    if (first === "mail 451") return say(451, "4.3.0 later");
    if (first === "mail 421") say(421, "4.3.2 closing");
    end("close");
  }

  function sinsOf(recipient: string): Sin[] {
    let sins = world.ahead.get(recipient);
    if (sins === undefined) {
      sins = Array.from({ length: draw(4) === 0 ? 0 : 1 + draw(2) }, () => SINS[draw(SINS.length)]!);
      world.ahead.set(recipient, sins);
    }
    return sins;
  }

  function rcpt(recipient: string): void {
    if (!from) return say(503, "5.5.1 MAIL first");
    to = recipient;
    // One that can only be met at MAIL, on a session where MAIL comes alone, is dropped.
    const sins = sinsOf(recipient);
    while (sins[0]?.startsWith("mail ") === true) sins.shift();
    sin = sins.shift() ?? "";
    if (sin !== "") commit(sin);
    switch (sin) {
      case "rcpt 451":
        return void ((to = ""), say(451, "4.7.1 later"));
      case "rcpt 501":
        return void ((to = ""), say(501, "I do not like this"));
      case "rcpt 421":
        return void (say(421, "4.3.2 closing"), end("close"));
      case "rcpt close":
        return end("close");
      case "rcpt reset":
        return end("reset");
      case "rcpt garbage":
        return raw(GARBAGE);
      case "rcpt 354":
        return say(354, "go on?");
      case "rcpt half":
        return void (raw("25"), end("close"));
      case "rcpt never":
        return never();
      case "rcpt twice":
        // Where a chunk is on its way already, more of the same would say that it was taken.
        return chunking ? say(250) : void (say(250), say(250), say(250), say(250));
      default:
        if (sin === "" && world.refuses(recipient) && draw(2) === 0) return refuse(550, "5.1.1 nobody here");
        return say(250, "2.1.5 ok");
    }
  }

  function refuse(code: number, text: string): void {
    world.refused.add(to);
    to = "";
    say(code, text);
  }

  function dataCommand(): void {
    if (to === "") return say(554, "5.5.1 no valid recipients");
    if (sin === "data 451") return void ((to = ""), say(451, "4.3.0 later"));
    if (sin === "data 421") return void (say(421, "4.3.2 closing"), end("close"));
    if (sin === "data 250") return say(250, "what data?");
    if (sin === "data close") return end("close");
    if (sin === "data never") return never();
    state = "data";
    say(354, "go on");
  }

  function bdat(size: number): void {
    awaited = size;
    state = "chunk";
  }

  /** At the first octets of a body. An early answer stands for the one to the dot: `dot` says nothing more. True: the conversation is over. */
  function bodySin(): boolean {
    if (sin === "body close" || sin === "body reset") {
      end(sin === "body close" ? "close" : "reset");
      return true;
    }
    if (sin === "body early 452") say(452, "4.3.1 enough");
    else if (sin === "body early 250") say(250, "2.0.0 that will do");
    else return false;
    answered = sin;
    sin = "";
    return false;
  }

  function data(): boolean {
    if (held.length > 0 && bodySin()) return false;
    const at = held.indexOf("\r\n.\r\n");
    if (at < 0) return false;
    held = held.subarray(at + 5);
    state = "line";
    dot();
    return true;
  }

  function chunk(): boolean {
    if (held.length > 0 && to !== "" && bodySin()) return false;
    if (held.length < awaited) return false;
    held = held.subarray(awaited);
    state = "line";
    if (to === "") say(503, "5.5.1 RCPT first");
    else if (sin.startsWith("data ")) sinAtChunk();
    else dot();
    return true;
  }

  /** The sins of DATA, where BDAT takes its place. */
  function sinAtChunk(): void {
    const was = sin;
    to = "";
    if (was === "data 451") return say(451, "4.3.0 later");
    if (was === "data 250") return say(354, "go on?");
    if (was === "data 421") say(421, "4.3.2 closing");
    if (was === "data never") return never();
    end("close");
  }

  function dot(): void {
    const recipient = to;
    to = "";
    if (sin.endsWith(" taken") || answered === "body early 250") take(recipient);
    if (answered !== "") return void (answered = "");
    switch (sin) {
      case "dot 451":
        return say(451, "4.3.0 later");
      case "dot 421":
        return void (say(421, "4.3.2 closing"), end("close"));
      case "dot close untaken":
      case "dot close taken":
        return end("close");
      case "dot reset taken":
        return end("reset");
      case "dot never taken":
      case "dot never untaken":
        return never();
      case "dot half taken":
        return void (raw("250 2.0"), end("close"));
      case "dot garbage taken":
        return raw(GARBAGE);
      default:
        to = recipient;
        if (world.refuses(recipient)) return refuse(554, "5.7.1 not this");
        to = "";
        take(recipient);
        say(250, "2.0.0 taken");
    }
  }

  function take(recipient: string): void {
    world.taken.set(recipient, (world.taken.get(recipient) ?? 0) + 1);
  }
}
