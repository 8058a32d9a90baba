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

export interface Agents {
  /** The agent of each text, in order; new ones get a number, at once and for good. */
  of(userAgents: readonly string[]): Promise<Agent[]>;
}

export function openAgents(sql: Sql, most: number): Agents {
  let known = new Map<string, Agent>();
  let before = new Map<string, Agent>();

  /** Two generations: what is used stays, what is not goes when the newer one is full. */
  function find(text: string): Agent | undefined {
    const agent = known.get(text);
    if (agent !== undefined) return agent;
    const older = before.get(text);
    if (older !== undefined) known.set(text, older);
    return older;
  }

  return {
    async of(userAgents) {
      if (known.size >= most) {
        before = known;
        known = new Map();
      }
      const agents = userAgents.map(find);
      const missing = new Set(userAgents.filter((_, i) => agents[i] === undefined));
      if (missing.size === 0) return agents as Agent[];
      const numbers = await numberAgents(sql, [...missing]);
      for (const [text, id] of numbers) known.set(text, { id, rule: agentRule(text) });
      return userAgents.map((text, i) => agents[i] ?? find(text)!);
    },
  };
}
