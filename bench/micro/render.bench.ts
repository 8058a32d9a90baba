/**
 * One message from its variables, on one thread: the sample newsletter (11 KB of HTML, 240 substitutions, 60 links), unsigned and
 * signed, and what its steps cost. Microseconds, median.
 */
import type { Content } from "../../src/model/delivery.ts";
import { compileTemplate } from "../../src/model/template.ts";
import { signToken } from "../../src/model/token.ts";
import { compileContent } from "../../src/render/compose.ts";
import { generateDkimKey } from "../../src/smtp/dkim.ts";
import { newsletter, recipient } from "../newsletter.ts";
import { medians } from "./median.ts";

export async function run(options: { seconds: number }): Promise<Record<string, number>> {
  const { subject, html, text } = newsletter();
  const content: Content = {
    subject,
    html,
    text: "",
    textFromHtml: false,
    from: { name: "News", address: "news@sender.example" },
    replyTo: null,
    toName: "{{first}}",
    headers: [],
    attachments: [],
    globals: {},
    returnPathDomain: "bounces.sender.example",
    listUnsubscribe: { url: "https://t.sender.example", mailtoDomain: "" },
    feedbackId: "",
  };
  const token = [{ id: 1, secret: Buffer.alloc(32, 1) }];
  const rsa = { domain: "sender.example", selector: "r", pem: generateDkimKey("rsa").pem };
  const ed = { domain: "sender.example", selector: "e", pem: generateDkimKey("ed25519").pem };
  const jobs = Array.from({ length: 64 }, (_, id) => {
    const { address, variables } = recipient(id, 1, ["receiver.example"]);
    return { id, address, variables: JSON.stringify(variables), delivery: 1 };
  });
  let turn = 0;
  const next = (): (typeof jobs)[number] => jobs[turn++ & 63]!;
  const template = compileTemplate(html, "html");
  const values = jobs.map((job) => JSON.parse(job.variables) as unknown);
  const composers = {
    unsigned: compileContent(content, { token, dkim: [] }),
    withText: compileContent({ ...content, text }, { token, dkim: [] }),
    textFromHtml: compileContent({ ...content, textFromHtml: true }, { token, dkim: [] }),
    rsa2048: compileContent(content, { token, dkim: [rsa] }),
    ed25519: compileContent(content, { token, dkim: [ed] }),
  };
  const tasks: Record<string, () => void> = {};
  for (const [name, composer] of Object.entries(composers)) {
    tasks[`${name}Us`] = () => void composer.render(next(), 1e12);
  }
  tasks["compileUs"] = () => void compileContent(content, { token, dkim: [] });
  tasks["parseVariablesUs"] = () => void JSON.parse(next().variables);
  tasks["templateUs"] = () => void template.render(values[turn++ & 63], 1e12);
  tasks["tokenUs"] = () => void signToken(token[0]!, turn++);
  return medians(tasks, options.seconds);
}
