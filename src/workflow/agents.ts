/**
 * User agents by number, with what each says of who sent it: both are looked up once for a text. What is remembered is bounded; of what was
 * forgotten the database knows the number.
 */
import type { Sql } from "../db/sql.ts";
import { numberAgents } from "../db/tracking-state.ts";
import type { VisitorRule } from "../model/visitor-rule.ts";
import { agentRule } from "../model/visitor.ts";

export interface Agent {
  readonly id: number;
  readonly rule: VisitorRule | null;
}

/** Of a batch: text → number and rule. */
export type AgentOf = (userAgent: string) => Agent;

export interface Agents {
  /** Makes sure that all of these are known; gives new ones a number. */
  know(userAgents: Iterable<string>): Promise<AgentOf>;
}

/** As many as there are in a batch at most, so that all of one can be known at once. */
export function openAgents(sql: Sql, most: number): Agents {
  let known = new Map<string, Agent>();
  let before = new Map<string, Agent>();
  return {
    async know(userAgents) {
      // Two generations: what is used stays, what is not goes when the newer one is full.
      if (known.size >= most) {
        before = known;
        known = new Map();
      }
      const missing: string[] = [];
      for (const text of new Set(userAgents)) {
        const agent = known.get(text) ?? before.get(text);
        if (agent === undefined) missing.push(text);
        else known.set(text, agent);
      }
      for (const [text, id] of await numberAgents(sql, missing)) known.set(text, { id, rule: agentRule(text) });
      const of = known;
      return (text) => of.get(text)!;
    },
  };
}
