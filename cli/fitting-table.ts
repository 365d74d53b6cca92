/** One column of a table that is made as wide as there is room. */
export interface Column<Row> {
  readonly title: string;
  readonly align: "left" | "right";
  /** Which columns are left out first where there is no room for all: those of the least weight. */
  readonly weight: number;
  cell(row: Row): string;
}

const gap = "  ";

/**
 * Lines of columns, each as wide as its widest cell, under a line of titles. Columns are left out until the lines are
 * no longer than `width`; the heaviest always stays. `paint` may colour a row's line, once it has its width.
 */
export function fittingTable<Row>(options: {
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly width?: number;
  readonly paint?: (row: Row, line: string) => string;
}): string {
  const { rows, width = Number.POSITIVE_INFINITY, paint = (_row, line) => line } = options;
  const columns = fitColumns(options.columns, rows, width);
  const widths = columns.map((column) => columnWidth(column, rows));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.align ?? "left"))
      .join(gap)
      .trimEnd();
  const titles = line(columns.map(({ title }) => title));
  const lines = rows.map((row) => paint(row, line(columns.map((column) => column.cell(row)))));
  return `${[titles, ...lines].join("\n")}\n`;
}

function fitColumns<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number): readonly Column<Row>[] {
  const total = columns.reduce((sum, column) => sum + columnWidth(column, rows) + gap.length, -gap.length);
  if (total <= width || columns.length === 1) return columns;
  const least = Math.min(...columns.map(({ weight }) => weight));
  const at = columns.findIndex(({ weight }) => weight === least);
  return fitColumns(columns.toSpliced(at, 1), rows, width);
}

function columnWidth<Row>({ title, cell }: Column<Row>, rows: readonly Row[]): number {
  return Math.max(title.length, ...rows.map((row) => cell(row).length));
}

function pad(cell: string, width: number, align: "left" | "right"): string {
  return align === "left" ? cell.padEnd(width) : cell.padStart(width);
}
