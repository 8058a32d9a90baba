/** Tables for people: right-aligned numbers, and the median and spread of several rounds. */

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}

/** (largest − smallest) ÷ median. */
export function spread(numbers: readonly number[]): number {
  return numbers.length === 0 ? 0 : (Math.max(...numbers) - Math.min(...numbers)) / (median(numbers) || 1);
}

/** The value below which `share` (0…1) of the numbers lie. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

export function round(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}

/** Prints rows under a head; the first column to the left, the others to the right. */
export function printTable(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const cells = [head, ...rows].map((row) =>
    row.map((cell) => (typeof cell === "number" ? cell.toLocaleString("en-US") : cell)),
  );
  const widths = head.map((_, i) => Math.max(...cells.map((row) => (row[i] ?? "").length)));
  cells.forEach((row, n) => {
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  "),
    );
    if (n === 0) console.log(widths.map((w) => "─".repeat(w)).join("  "));
  });
}
