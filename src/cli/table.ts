/** Rows under each other, for a terminal: columns of numbers to the right, the last column as long as it is. */

/** The first row is the head. Cells are one harmless line each; a cell is cut to `most` characters, but for the last of a row. */
export function table(rows: readonly (readonly (string | number)[])[], most: number = 40): string[] {
  const [head = []] = rows;
  const cells = rows.map((row) =>
    row.map((cell, i) => (i === head.length - 1 ? String(cell) : cut(String(cell), most))),
  );
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)));
  const numbers = head.map((_, i) => rows.length > 1 && rows.slice(1).every((row) => typeof row[i] === "number"));
  return cells.map((row) =>
    row
      .map((cell, i) =>
        numbers[i] ? cell.padStart(widths[i] ?? 0) : i < row.length - 1 ? cell.padEnd(widths[i] ?? 0) : cell,
      )
      .join("  ")
      .trimEnd(),
  );
}

const cut = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
