import { expect, test } from "vitest";
import { isId, newId } from "./ids.ts";

test("a new id has its prefix and the form of an id", () => {
  const id = newId("ord");
  expect(id).toMatch(/^ord_/);
  expect(isId("ord", id)).toBe(true);
});

test("ids sort in the order of their making", () => {
  const ids = Array.from({ length: 1_000 }, () => newId("ord"));
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});

test.each([
  ["another prefix", "cart_01h455vb4pex5vsknk084sn02q"],
  ["no prefix", "01h455vb4pex5vsknk084sn02q"],
  ["too short a suffix", "ord_01h455vb4pex5vsknk084sn02"],
  ["a letter that base 32 leaves out", "ord_01h455vb4pex5vsknk084sn02u"],
  ["upper case", "ord_01H455VB4PEX5VSKNK084SN02Q"],
  ["more than 128 bits", "ord_81h455vb4pex5vsknk084sn02q"],
  ["nothing", ""],
])("%s makes no id", (_, text) => {
  expect(isId("ord", text)).toBe(false);
});
