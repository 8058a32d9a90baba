/** What can be said of a content before it is sent: what is wrong with it, and its links. */
import type { Content, ContentLink, Tracking } from "../model/delivery.ts";
import { type ContentProblem, planOf } from "./plan.ts";

/** Everything that is wrong with a content; empty when it can be sent. */
export function checkContent(content: Content): readonly ContentProblem[] {
  return planOf(content).problems;
}

/** The same, and its links: none where it is not tracked. */
export function examineContent(content: Content): {
  readonly problems: readonly ContentProblem[];
  readonly links: readonly ContentLink[];
} {
  const { problems, plan } = planOf(content);
  return { problems, links: plan.links };
}

/** The links of a content that is right, tracked or not. */
export function linksOfContent(content: Content): readonly ContentLink[] {
  return planOf({ ...content, tracking: content.tracking ?? NOT_TRACKED }).plan.links;
}

const NOT_TRACKED: Tracking = {
  url: "https://not-tracked.invalid",
  clicks: false,
  opens: false,
  textLinks: false,
  urlLabels: false,
  anonymous: false,
  trap: false,
  single: false,
};
