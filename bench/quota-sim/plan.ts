/** What is sent where and under which rules, drawn from the seed: sites with exchangers, rules of every scope and window, and new rules. */
import { BUILT_IN, type MxRule, type MxRules } from "../../src/model/mx-rules.ts";
import { type Exchanger, type Limits, SCOPES } from "../../src/model/traffic.ts";
import type { World } from "./world.ts";

export interface Site {
  readonly name: string;
  readonly exchangers: readonly Exchanger[];
}

const SITES = 50;
export const PUBLIC_IDS = [1, 2, 3, 4];

export function drawSites(world: World): Site[] {
  return Array.from({ length: SITES }, (_, i) => ({
    name: `s${i}.example`,
    exchangers: Array.from({ length: 1 + world.draw(3) }, (_, j) => ({
      mx: `mx${j}.s${i}.example`,
      ip: `10.0.${i}.${j + 1}`,
    })),
  }));
}

export function drawRules(world: World): MxRules {
  const rules: MxRule[] = [];
  for (let i = 0; i < 14; i++) {
    const digit = world.draw(10);
    const mask = world.chance(30)
      ? `*.s${world.draw(SITES)}.example`
      : world.chance(50)
        ? `*.s${digit}?.example`
        : `*.s?${digit}.example`;
    const low = 1 + world.draw(3);
    rules.push(rule(`r${i}`, mask, world.chance(25) ? [low, low + world.draw(3)] : null, drawLimits(world, `r${i}`)));
  }
  rules.push(rule("*", "*", null, drawLimits(world, "*")));
  return stamp(rules, 0);
}

/** Other limits, and now and then a rule more, in front, for some of the sites. */
export function redrawRules(world: World, rules: MxRules, round: number): { rules: MxRules; moved: boolean } {
  const changed = rules.map((each) => {
    if (!world.chance(30)) return each;
    const limits = { ...drawLimits(world, each.id), scope: each.limits.scope };
    return { ...each, limits };
  });
  const moved = world.chance(20);
  if (moved)
    changed.unshift(rule(`n${round}`, `*.s${world.draw(SITES)}.example`, null, drawLimits(world, `n${round}`)));
  return { rules: stamp(changed, round), moved };
}

/** The version goes with the rules, so that one sees who knows which. */
function stamp(rules: readonly MxRule[], version: number): MxRule[] {
  return rules.map((each, i) => (i === 0 ? { ...each, note: String(version) } : each));
}

function rule(id: string, mask: string, publicIds: readonly [number, number] | null, limits: Limits): MxRule {
  return { id, mx: [mask], publicIds, limits, origin: "drawn", origins: {}, note: "" };
}

function drawLimits(world: World, id: string): Limits {
  const maybe = (percent: number, least: number, most: number): number =>
    world.chance(percent) ? least + Math.floor((most - least) * (world.draw(1000) / 1000) ** 3) : 0;
  return {
    ...BUILT_IN,
    rule: id,
    scope: SCOPES[world.draw(SCOPES.length)] ?? "path",
    connections: world.chance(40) ? 1 + world.draw(3) : 1 + world.draw(25),
    messagesPerConnection: world.chance(30) ? 1 + world.draw(10) : 20 + world.draw(200),
    messagesPerMinute: maybe(40, 3, 1500),
    messagesPerHour: maybe(60, 20, 20_000),
    messagesPerDay: maybe(25, 50, 20_000),
    bytesPerSecond: maybe(15, 50_000, 2_000_000),
    pacing: world.chance(30) ? "smooth" : "periods",
  };
}
