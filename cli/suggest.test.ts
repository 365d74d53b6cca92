import { expect, test } from "vitest";
import { closest, didYouMean } from "./suggest.ts";

const services = ["cart", "catalog", "inventory", "orders", "payments"];

test.each([
  ["crat", "cart"],
  ["Orders", "orders"],
  ["payment", "payments"],
  ["inventroy", "inventory"],
])("takes %s for %s", (typed, meant) => {
  expect(closest(typed, services)).toBe(meant);
});

test("guesses nothing from a word that is like none", () => {
  expect(closest("shipping", services)).toBeUndefined();
  expect(didYouMean("shipping", services)).toBe("; there are cart, catalog, inventory, orders, payments");
  expect(didYouMean("shipping", [])).toBe("");
});
