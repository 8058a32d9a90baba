/**
 * MTA-STS as text (RFC 8461): the TXT record that says a policy is there, the policy, and whether an exchanger is in it. Strict: what the
 * grammar does not allow makes the whole record or policy void, because half a policy would be somebody else's.
 */

export interface StsPolicy {
  readonly mode: "enforce" | "testing" | "none";
  readonly maxAgeMs: number;
  /** Lower case: host names, or `*.` and a name. */
  readonly mx: readonly string[];
}

/** RFC 8461 §3.2: about a year. */
const MOST_AGE_S = 31_557_600;
const KEY = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$/;
const PATTERN = /^(?:\*\.)?[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/;

/** The id in the TXT records of `_mta-sts.<domain>` (strings of a record joined); '' when there is no policy to be had. RFC 8461 §3.1. */
export function stsRecordId(records: readonly string[]): string {
  const ours = records.filter((record) => /^v=STSv1[ \t]*;/.test(record));
  // RFC 8461 §3.1: none, or more than one: no policy.
  if (ours.length !== 1) return "";
  let id = "";
  const fields = ours[0]!.split(";").slice(1);
  for (const [i, field] of fields.entries()) {
    const text = field.replace(/^[ \t]+|[ \t]+$/g, "");
    if (text === "" && i === fields.length - 1) continue;
    const [, key = "", value = ""] = /^([^=]*)=([\x21-\x3a\x3c\x3e-\x7e]+)$/.exec(text) ?? [];
    if (!KEY.test(key)) return "";
    if (key === "id" && id === "") {
      if (!/^[A-Za-z0-9]{1,32}$/.test(value)) return "";
      id = value;
    }
  }
  return id;
}

/** The policy in the body of `mta-sts.txt`, or what is wrong with it. RFC 8461 §3.2. */
export function parseStsPolicy(body: string): StsPolicy | string {
  const fields = new Map<string, string>();
  const mx = new Set<string>();
  // An empty line is only allowed as the last one.
  for (const line of body.replace(/(?:\r?\n)+$/, "").split(/\r?\n/)) {
    const at = line.indexOf(":");
    const key = line.slice(0, Math.max(0, at)).replace(/[ \t]+$/, "");
    const value = line.slice(at + 1).replace(/^[ \t]+|[ \t]+$/g, "");
    // oxlint-disable-next-line no-control-regex -- what the grammar forbids
    if (at < 0 || !KEY.test(key) || /[\x00-\x08\x0a-\x1f\x7f]/.test(value)) return `not a field: ${line.slice(0, 80)}`;
    if (key === "mx") {
      const pattern = value.toLowerCase();
      if (pattern.length > 253 || !PATTERN.test(pattern)) return `not an exchanger: ${value.slice(0, 80)}`;
      mx.add(pattern);
    } else if (!fields.has(key)) fields.set(key, value); // RFC 8461 §3.2: only the first one counts
  }
  if (fields.get("version") !== "STSv1") return "version is not STSv1";
  const mode = fields.get("mode");
  if (mode !== "enforce" && mode !== "testing" && mode !== "none") return "mode is none of enforce, testing, none";
  const age = fields.get("max_age") ?? "";
  if (!/^\d{1,10}$/.test(age)) return "max_age is not a number of seconds";
  if (mx.size === 0 && mode !== "none") return "no mx";
  return { mode, maxAgeMs: Math.min(MOST_AGE_S, Number(age)) * 1000, mx: [...mx] };
}

/** Whether a policy allows an exchanger (RFC 8461 §4.1): `*.` stands for exactly one label. */
export function stsAllows(policy: StsPolicy, exchanger: string): boolean {
  const name = exchanger.toLowerCase().replace(/\.$/, "");
  const parent = name.slice(name.indexOf(".") + 1);
  const wildcard = name.indexOf(".") > 0 ? `*.${parent}` : "";
  return policy.mx.some((pattern) => pattern === name || pattern === wildcard);
}
