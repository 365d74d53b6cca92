import { afterAll, beforeAll, expect, test } from "vitest";
import { buildPrograms, newPlace, type ShopPlace } from "../support/setup.ts";
import { scenarios } from "./cells.ts";
import { describeResults, type Matrix, startMatrix } from "./matrix.ts";
import { victims } from "./wave.ts";

// The slice of the matrix that says most in half a minute: everything that an order needs is killed at once, PostgreSQL
// too, with an order at every point. `npm run crash-matrix` plays the rest.

let place: ShopPlace;
let matrix: Matrix;

beforeAll(async () => {
  await buildPrograms();
  place = await newPlace();
  matrix = await startMatrix({ place, scenarios, say: () => {} });
}, 120_000);

afterAll(async () => {
  await matrix?.close();
  await place?.remove();
}, 60_000);

test("every order comes to rest, rightly, when everything is killed while it is at any point", async () => {
  const [everything] = victims.filter(({ name }) => name === "everything");
  if (everything === undefined) throw new Error("no such victim");
  const results = await matrix.play(everything);
  expect(results.length).toBeGreaterThan(30);
  expect(
    describeResults(
      everything,
      results.filter(({ problems }) => problems.length > 0),
    ),
  ).toBe("");
}, 180_000);
