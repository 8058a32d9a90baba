/** What a rule on visitors is (model/visitor.ts), and which classes are people. */
import type { VisitorClass } from "./tracking.ts";

export interface VisitorRule {
  /** Kept in column `tracking.rule`. */
  readonly id: string;
  readonly class: VisitorClass;
  /** Why, as a clause. */
  readonly text: string;
  readonly source: string;
}

/** Is a person behind a hit of this class? */
export function isPerson(of: VisitorClass): boolean {
  return of === "person" || of === "proxy";
}
