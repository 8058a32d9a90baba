/**
 * What tracking costs: messages of a newsletter of 100 KB with 80 links, with and without it, turn about in one run, of which 0, 20 and 80 links
 * are personalised. A ratio is of rendering whole messages, unsigned and signed (RSA 2048). Then what is done once a content, and a link.
 */
import type { Content, Tracking } from "../../src/model/delivery.ts";
import { signLink } from "../../src/model/link.ts";
import { compileContent } from "../../src/render/compose.ts";
import type { RenderJob } from "../../src/render/contract.ts";
import { generateDkimKey } from "../../src/smtp/dkim.ts";
import { bigNewsletter, recipient } from "../newsletter.ts";
import { interleaved } from "./interleaved.ts";
import { medians } from "./median.ts";

const TRACKING: Tracking = {
  url: "https://t.sender.example",
  clicks: true,
  opens: true,
  textLinks: false,
  urlLabels: false,
  anonymous: false,
  trap: false,
  single: false,
};

export async function run(options: { seconds: number }): Promise<Record<string, number>> {
  const token = [{ id: 1, secret: Buffer.alloc(32, 1) }];
  const rsa = { domain: "sender.example", selector: "r", pem: generateDkimKey("rsa").pem };
  const jobs: RenderJob[] = Array.from({ length: 64 }, (_, id) => {
    const { address, variables } = recipient(id, 1, ["receiver.example"]);
    return { id, address, variables: JSON.stringify(variables), delivery: 17 };
  });
  let turn = 0;
  const pairs: Record<string, Content> = Object.fromEntries(
    [0, 20, 80].map((personalised) => [`personalised${personalised}`, contentOf(bigNewsletter(personalised).html)]),
  );
  const figures: Record<string, number> = {};
  for (const [name, content] of Object.entries(pairs)) {
    for (const [signed, dkim] of Object.entries({ "": [], Signed: [rsa] })) {
      const plain = compileContent(content, { token, dkim });
      const tracked = compileContent({ ...content, tracking: TRACKING }, { token, dkim });
      const us = interleaved(
        {
          plain: () => void plain.render(jobs[turn++ & 63]!, 1e12),
          tracked: () => void tracked.render(jobs[turn++ & 63]!, 1e12),
        },
        options.seconds / 6,
      );
      figures[`${name}${signed}Us`] = us["plain"]!;
      figures[`${name}${signed}TrackedUs`] = us["tracked"]!;
      figures[`${name}${signed}Ratio`] = Math.round((us["tracked"]! / us["plain"]!) * 1000) / 1000;
    }
  }
  const constant = pairs["personalised0"]!;
  const compiled = interleaved(
    {
      compile: () => void compileContent(constant, { token, dkim: [] }),
      compileTracked: () => void compileContent({ ...constant, tracking: TRACKING }, { token, dkim: [] }),
    },
    options.seconds / 6,
  );
  figures["compileUs"] = compiled["compile"]!;
  figures["compileTrackedUs"] = compiled["compileTracked"]!;
  const link = { kind: "click", delivery: 17, number: 3, url: "https://www.example.com/buy/1?c=abcdefgh" } as const;
  return { ...figures, ...(await medians({ signLinkUs: () => void signLink(token[0]!, link) }, options.seconds / 6)) };
}

function contentOf(html: string): Content {
  return {
    subject: "{{first}}",
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
}
