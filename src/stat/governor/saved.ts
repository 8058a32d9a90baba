/**
 * Courses and suspensions as JSON and back. What is read may be of another version or damaged: whatever does not fit is left out, and what
 * is taken is complete, so nothing behind this file looks twice.
 */
import { REPLY_ACTIONS, type Amount, type Remedy } from "../../model/reply-rules.ts";
import type { Suspension } from "../contract.ts";
import type { Course } from "./course.ts";
import type { Meter } from "./meter.ts";

const KINDS: readonly string[] = ["back-off", "breaker", "suspension"];
const STAGES: readonly string[] = ["limits", "stop", "probe", "ramp"];
const TEXT_MOST = 1000;

type Plain = Readonly<Record<string, unknown>>;

/** Without what is only remembered to be quick. */
export function plainCourse(course: Course): unknown {
  const { tight: _, ...plain } = course;
  const copy = (meter: Meter): Meter => ({ ...meter, pace: { ...meter.pace } });
  return { ...plain, hour: copy(course.hour), minute: copy(course.minute) };
}

export function coursesOf(saved: unknown): Course[] {
  return Array.isArray(saved) ? saved.map(courseOf).filter((course) => course !== null) : [];
}

function courseOf(saved: unknown): Course | null {
  const plain = record(saved);
  const remedy = remedyOf(plain["remedy"]);
  const place = placeOf(plain);
  const { kind, stage } = plain;
  if (remedy === null || place === null || !KINDS.includes(String(kind)) || !STAGES.includes(String(stage)))
    return null;
  const since = count(plain["since"]);
  const until = count(plain["until"]);
  if (since === 0 || until === 0) return null;
  return {
    kind: kind as Course["kind"],
    ...place,
    by: text(plain["by"]),
    reason: text(plain["reason"]),
    remedy,
    base: Math.max(1, count(plain["base"])),
    need: Math.max(1, count(plain["need"])),
    stage: stage as Course["stage"],
    since,
    stageAt: count(plain["stageAt"]) || since,
    until,
    tries: count(plain["tries"]),
    step: count(plain["step"]),
    granted: count(plain["granted"]),
    probeUntil: count(plain["probeUntil"]),
    accepted: count(plain["accepted"]),
    errors: count(plain["errors"]),
    matched: count(plain["matched"]),
    hour: meterOf(plain["hour"]),
    minute: meterOf(plain["minute"]),
    tight: new WeakMap(),
  };
}

export function suspensionsOf(saved: unknown): Suspension[] {
  if (!Array.isArray(saved)) return [];
  return saved.flatMap((one): Suspension[] => {
    const plain = record(one);
    const place = placeOf(plain);
    const id = count(plain["id"]);
    if (place === null || id === 0) return [];
    return [
      {
        id,
        ...place,
        reason: text(plain["reason"]),
        by: text(plain["by"]),
        since: count(plain["since"]),
        until: count(plain["until"]),
      },
    ];
  });
}

function remedyOf(saved: unknown): Remedy | null {
  const plain = record(saved);
  const limits = record(plain["limits"]);
  const action = REPLY_ACTIONS.find((one) => one === plain["action"]);
  const durationMs = count(plain["durationMs"]);
  if (action === undefined || action === "ignore" || durationMs === 0) return null;
  return {
    action,
    limits: {
      connections: amountOf(limits["connections"]),
      messagesPerConnection: amountOf(limits["messagesPerConnection"]),
      messagesPerMinute: amountOf(limits["messagesPerMinute"]),
      messagesPerHour: amountOf(limits["messagesPerHour"]),
    },
    durationMs,
    mostMs: Math.max(durationMs, count(plain["mostMs"])),
    probe: Math.max(1, count(plain["probe"])),
    stepMs: Math.max(1000, count(plain["stepMs"])),
  };
}

function amountOf(saved: unknown): Amount {
  const { share, value } = record(saved);
  return { share: typeof share === "number" && share > 0 && share <= 1 ? share : 1, value: count(value) };
}

function meterOf(saved: unknown): Meter {
  const { ms, at, spent, fullUntil, pace } = record(saved);
  const { turnAt, used } = record(pace);
  return {
    ms: count(ms) || 300_000,
    at: count(at),
    spent: count(spent),
    fullUntil: count(fullUntil),
    pace: { turnAt: count(turnAt), passed: 0, used: count(used) },
  };
}

function placeOf({ site, publicId }: Plain): { site: string; publicId: number | null } | null {
  if (typeof site !== "string" || site.length > TEXT_MOST) return null;
  if (publicId === null) return { site, publicId };
  return Number.isSafeInteger(publicId) && Number(publicId) >= 0 ? { site, publicId: Number(publicId) } : null;
}

function record(value: unknown): Plain {
  return typeof value === "object" && value !== null ? (value as Plain) : {};
}

/** 0 for whatever is no count or time. */
function count(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) && value > 0 ? Math.floor(value) : 0;
}

function text(value: unknown): string {
  return typeof value === "string" ? value.slice(0, TEXT_MOST) : "";
}
