/** Quoted-printable of 11 KB of rendered HTML, of text outside ASCII and of one long line. Microseconds, median. */
import { compileTemplate } from "../../src/model/template.ts";
import { encodeQuotedPrintable, quotedPrintableRoom } from "../../src/smtp/quoted-printable.ts";
import { newsletter, recipient } from "../newsletter.ts";
import { medians } from "./median.ts";

export async function run(options: { seconds: number }): Promise<Record<string, number>> {
  const { variables } = recipient(1, 1, ["receiver.example"]);
  const html = compileTemplate(newsletter().html, "html").render(variables, 0);
  const texts = { html11k: html, accents11k: "Grüße aus Köln, bis später. ".repeat(380), line11k: "x".repeat(11_000) };
  const tasks: Record<string, () => void> = {};
  for (const [name, text] of Object.entries(texts)) {
    const source = Buffer.from(text);
    const out = Buffer.alloc(quotedPrintableRoom(source.length));
    tasks[`${name}Us`] = () => void encodeQuotedPrintable(source, source.length, out, 0);
  }
  const source = Buffer.alloc(html.length * 3);
  tasks["utf8Us"] = () => void source.write(html, 0, "utf8");
  return medians(tasks, options.seconds);
}
