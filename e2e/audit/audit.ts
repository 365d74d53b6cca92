import type { Books, BuyersWord, Finding } from "./books.ts";
import { checkDelivery } from "./delivery.ts";
import { checkMoney, checkOncePerOrder } from "./money.ts";
import { checkAcknowledged, checkAtRest, checkCaptures, checkHistories } from "./orders.ts";
import { checkStock } from "./stock.ts";

/** What must be true of the books of a shop that has come to rest, whatever happened to it before. Pure. */
export function audit(books: Books, word: BuyersWord): readonly Finding[] {
  return [
    ...checkMoney(books),
    checkOncePerOrder(books),
    ...checkStock(books),
    checkAtRest(books),
    checkHistories(books),
    checkCaptures(books),
    checkDelivery(books),
    checkAcknowledged(books, word),
  ];
}

/** A table of findings, and the first violations in words. */
export function describeFindings(findings: readonly Finding[]): string {
  const rows = findings.map(({ invariant, what, checked, violations }) => [
    String(invariant),
    what,
    String(checked),
    violations.length === 0 ? "-" : String(violations.length),
  ]);
  const all = [["", "invariant", "checked", "violated"], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const lines = all.map((row) =>
    widths.map((width, column) => (column < 2 ? row[column]?.padEnd(width) : row[column]?.padStart(width))).join("  "),
  );
  const shown = findings.flatMap(({ invariant, violations }) => [
    ...violations.slice(0, maxShown).map((violation) => `  ${invariant}: ${violation}`),
    ...(violations.length > maxShown ? [`  ${invariant}: and ${violations.length - maxShown} more`] : []),
  ]);
  return [...lines, ...(shown.length === 0 ? [] : ["", "violations:", ...shown])].join("\n");
}

const maxShown = 20;

export function holds(findings: readonly Finding[]): boolean {
  return findings.every(({ violations }) => violations.length === 0);
}
