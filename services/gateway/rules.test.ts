import { sensitiveHeaders } from "node:http2";
import { expect, test } from "vitest";
import { contracts } from "#gen/contracts.ts";
import { firstMessage, frame } from "./framing.ts";
import { forwarded, forwardedRequest } from "./headers.ts";
import { createBudget } from "./rate.ts";
import { Replay } from "./replay.ts";
import { createRoutes, LOCAL_OWNER, serviceOf } from "./routes.ts";

test("routes methods of public contracts with their deadlines, and nothing of others", () => {
  const contract = {
    owner: "toy",
    definition: { do: { path: "/a.A/Do" } },
    methods: { do: { deadlineMs: 7, idempotency: "IDEMPOTENT" } },
  } as const;
  const hidden = { ...contract, definition: { do: { path: "/b.B/Do" } } };
  const routes = createRoutes(
    [
      { ...contract, name: "a.A", public: true },
      { ...hidden, name: "b.B", public: false },
    ],
    ["l.L"],
  );
  expect(routes.find("/a.A/Do")).toEqual({ service: "a.A", owner: "toy", deadlineMs: 7, repeatable: true });
  expect(routes.find("/a.A/NewerThanTheContract")).toEqual({
    service: "a.A",
    owner: "toy",
    deadlineMs: undefined,
    repeatable: false,
  });
  expect(routes.find("/l.L/Anything")?.owner).toBe(LOCAL_OWNER);
  expect(routes.find("/b.B/Do")).toBeUndefined();
  expect(routes.services).toEqual(["a.A"]);
});

test("takes the generated contracts", () => {
  const routes = createRoutes(contracts, []);
  expect(routes.find("/shop.catalog.v1.CatalogService/GetProduct")?.owner).toBe("catalog");
});

test.each(["", "/", "/a", "a/b", "//b", "/a/", "/a/b/c", "/a/b/", "a"])("takes %j for no path of a method", (path) => {
  expect(serviceOf(path)).toBe("");
});

test("forwards repeated entries in their order, secrets as secrets, and no internal or hop's header", () => {
  const raw = [
    "x-a",
    "1",
    "shopmesh-caller",
    "orders",
    "te",
    "trailers",
    "x-a",
    "2",
    "x-b",
    "3",
    "x-a",
    "4",
    ":path",
    "/",
  ];
  const headers = forwarded({ parsed: { "x-a": "1, 2, 4", "x-b": "3", [sensitiveHeaders]: ["x-b"] }, raw });
  expect(headers).toEqual({ "x-a": ["1", "2", "4"], "x-b": "3", [sensitiveHeaders]: ["x-b"] });
});

test("keeps the first of a header of which HTTP allows one", () => {
  const raw = ["authorization", "Bearer a", "authorization", "Bearer b"];
  expect(forwarded({ parsed: { authorization: "Bearer a" }, raw })).toEqual({ authorization: "Bearer a" });
});

test("lets nothing of the caller's win over what the gateway adds", () => {
  const received = { parsed: { traceparent: "theirs" }, raw: ["traceparent", "theirs", ":authority", "theirs"] };
  const headers = forwardedRequest(received, "/a/b", "toy", { traceparent: "ours" });
  expect(headers).toMatchObject({ traceparent: "ours", ":authority": "toy", ":path": "/a/b", ":method": "POST" });
});

test("a budget allows a burst, then its rate, and never saves up more than the burst", () => {
  let now = 0;
  const budget = createBudget({ burst: 2, perSecond: 10 }, () => now);
  const takes = (count: number) => Array.from({ length: count }, () => budget.take());
  expect(takes(3)).toEqual([true, true, false]);
  now += 100;
  expect(takes(2)).toEqual([true, false]);
  now += 3_600_000;
  expect(takes(3)).toEqual([true, true, false]);
});

test("a budget that was overspent has nothing left until that is made up for", () => {
  let now = 0;
  const budget = createBudget({ burst: 2, perSecond: 10 }, () => now);
  for (let i = 0; i < 5; i++) budget.spend();
  now += 300;
  expect([budget.left(), budget.take()]).toEqual([false, false]);
  now += 100;
  expect([budget.left(), budget.take(), budget.left()]).toEqual([true, true, false]);
});

test("a replay keeps a request whole or not at all", () => {
  const replay = new Replay(4);
  expect(replay.isEmpty()).toBe(true);
  replay.keep(Buffer.from("ab"));
  replay.keep(Buffer.from("cd"));
  expect([replay.whole, Buffer.concat([...replay.chunks()]).toString()]).toEqual([true, "abcd"]);
  replay.keep(Buffer.from("e"));
  expect([replay.whole, replay.chunks().length, replay.isEmpty()]).toEqual([false, 0, false]);
});

test("frames a message and finds it again, whole, in parts, or with another behind it", () => {
  const framed = frame(Buffer.from("abc"));
  expect(framed).toEqual(Buffer.from([0, 0, 0, 0, 3, 97, 98, 99]));
  for (let length = 0; length < framed.length; length++)
    expect(firstMessage(framed.subarray(0, length))).toBeUndefined();
  const found = firstMessage(Buffer.concat([framed, Buffer.from("x")]));
  expect([found?.message.toString(), found?.rest.toString()]).toEqual(["abc", "x"]);
});
