import { expect, test } from "vitest";
import { type Column, fittingTable } from "./fitting-table.ts";

interface Row {
  readonly name: string;
  readonly count: number;
}

const columns: readonly Column<Row>[] = [
  { title: "NAME", align: "left", weight: 3, cell: ({ name }) => name },
  { title: "LEFT OUT FIRST", align: "left", weight: 1, cell: () => "x" },
  { title: "N", align: "right", weight: 2, cell: ({ count }) => String(count) },
];
const rows: readonly Row[] = [
  { name: "cart", count: 5 },
  { name: "inventory", count: 1234 },
];

test("makes columns as wide as they must be, numbers to the right", () => {
  expect(fittingTable({ columns, rows })).toBe(
    ["NAME       LEFT OUT FIRST     N", "cart       x                  5", "inventory  x               1234", ""].join(
      "\n",
    ),
  );
});

test.each([
  [31, "NAME       LEFT OUT FIRST     N"],
  [30, "NAME          N"],
  [15, "NAME          N"],
  [14, "NAME"],
  [1, "NAME"],
])("fits into %d columns what weighs most", (width, titles) => {
  expect(fittingTable({ columns, rows, width }).split("\n")[0]).toBe(titles);
});

test("colours a line when it has its width", () => {
  const table = fittingTable({ columns, rows, paint: ({ count }, line) => (count > 5 ? `<${line}>` : line) });
  expect(table.split("\n")[2]).toBe("<inventory  x               1234>");
});
