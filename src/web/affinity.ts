/**
 * An affinity that exists nowhere sends nothing: a delivery that names one is refused when it is submitted, and again when it is started or
 * resumed after the settings have lost it; it does not wait in silence.
 */
import { nearest } from "../config/nearest.ts";

/** Why this affinity cannot be, '' when it is in the settings. */
export function affinityRefusal(name: string, known: readonly string[]): string {
  if (known.includes(name)) return "";
  const meant = nearest(name, known);
  return `there is no such affinity; known: ${known.join(", ")}${meant === "" ? "" : ` (did you mean ${meant}?)`}`;
}
