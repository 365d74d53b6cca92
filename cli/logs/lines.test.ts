import fc from "fast-check";
import { expect, test } from "vitest";
import { createLineSplitter } from "./lines.ts";

test("puts lines together however the bytes arrive, inside characters too", () => {
  // One to four bytes each.
  const line = fc.string({ unit: fc.constantFrom("a", "é", "€", "😀", " "), minLength: 1 });
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), fc.array(fc.nat({ max: 40 }), { maxLength: 8 }), (lines, cuts) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
      const splitter = createLineSplitter();
      const seen: string[] = [];
      let offset = 0;
      for (const cut of cuts) {
        seen.push(...splitter.push(bytes.subarray(offset, offset + cut)));
        offset += cut;
      }
      seen.push(...splitter.push(bytes.subarray(offset)), ...splitter.end());
      expect(seen).toEqual(lines);
    }),
  );
});

test("gives a last line that was not ended, and no empty ones", () => {
  const splitter = createLineSplitter();
  expect(splitter.push(Buffer.from("one\r\n\n\r\ntwo"))).toEqual(["one"]);
  expect(splitter.end()).toEqual(["two"]);
  expect(splitter.end()).toEqual([]);
});

test("cuts a line that is too long, says by how much, and finds the next one", () => {
  const splitter = createLineSplitter(10);
  for (let i = 0; i < 5; i++) expect(splitter.push(Buffer.from("abcdef"))).toEqual([]);
  expect(splitter.push(Buffer.from("\nnext\n"))).toEqual(["abcdefabcd … (20 more bytes)", "next"]);
});
