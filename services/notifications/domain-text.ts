import type { Block, Fact, Item, Page, Sum } from "./domain-page.ts";

/** How wide a line is: narrow enough for a phone that turns nothing, and for whoever quotes it in an answer. */
const WIDTH = 64;
const INDENT = "  ";

/** A mail as plain text; lines end in `\n`. */
export function textOf({ shop, heading, blocks, footer }: Page): string {
  const parts = [shop, `${heading}\n${"-".repeat(lengthOf(heading))}`, ...blocks.map(blockText), "-- ", wrap(footer)];
  // What stands below `-- ` is a signature, which answers leave out: RFC 3676, 4.3.
  return `${parts.join("\n\n").replace("-- \n\n", "-- \n")}\n`;
}

function blockText(block: Block): string {
  switch (block.kind) {
    case "paragraph":
      return wrap(block.text);
    case "facts":
      return factsText(block.facts);
    case "items":
      return itemsText(block.items, block.sums);
    case "address":
      return [`${block.label}:`, ...block.lines.map((line) => wrap(line, INDENT))].join("\n");
  }
}

function factsText(facts: readonly Fact[]): string {
  const width = Math.max(...facts.map(({ label }) => lengthOf(label))) + 2;
  return facts
    .map(({ label, value }) => {
      const begin = `${label}:`.padEnd(width);
      return wrap(value, " ".repeat(width)).replace(/^ +/, begin);
    })
    .join("\n");
}

function itemsText(items: readonly Item[], sums: readonly Sum[]): string {
  const lines = items.map(({ title, detail, amount }) =>
    [wrap(title, INDENT), leftAndRight(`${INDENT}${INDENT}${detail}`, amount)].join("\n"),
  );
  const rule = INDENT + "-".repeat(WIDTH - INDENT.length);
  return [...lines, rule, ...sums.map(({ label, amount }) => leftAndRight(INDENT + label, amount))].join("\n");
}

/** Two texts in one line, at its ends; in two where they would meet. */
function leftAndRight(left: string, right: string): string {
  if (right === "") return left;
  const between = WIDTH - lengthOf(left) - lengthOf(right);
  return between < 1 ? `${left}\n${right.padStart(WIDTH)}` : left + " ".repeat(between) + right;
}

/** Breaks a text between words, and within those that are longer than a line. */
function wrap(text: string, indent = ""): string {
  const width = WIDTH - indent.length;
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").flatMap((one) => pieces(one, width))) {
    if (line !== "" && lengthOf(line) + 1 + lengthOf(word) > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line].map((one) => indent + one).join("\n");
}

function pieces(word: string, width: number): readonly string[] {
  const letters = lettersOf(word);
  const count = Math.ceil(letters.length / width);
  return Array.from({ length: count }, (_, at) => letters.slice(at * width, (at + 1) * width).join(""));
}

function lengthOf(text: string): number {
  return ONE_EACH.test(text) ? text.length : lettersOf(text).length;
}

/** What a reader takes for one letter each, whatever it is made of. */
function lettersOf(text: string): readonly string[] {
  return ONE_EACH.test(text) ? text.split("") : Array.from(segmenter.segment(text), ({ segment }) => segment);
}

/** Latin letters with their accents, and signs of currencies: nearly all there is. To segment takes a hundred times as long. */
const ONE_EACH = /^[\u0020-\u02ff\u2009\u2013\u20a0-\u20bf]*$/;
const segmenter = new Intl.Segmenter("en", { granularity: "grapheme" });
