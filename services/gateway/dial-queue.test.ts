import { createServer, type Socket } from "node:net";
import { status as codes } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { parseAddress, plainCluster } from "#mesh/discovery/endpoints.ts";
import { movingEndpoints } from "#mesh/discovery/moving-endpoints.fixture.ts";
import { createDialQueue } from "./dial-queue.ts";
import { createCleanup, eventually, rejection, startTestGateway, toyClient, unary } from "./testing/setup.ts";
import { startToyBackend } from "./testing/toy-backend.ts";

describe("the queue, in virtual time", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  /** A queue with two places, and the dials that began, which the test ends one by one. */
  function createTurns() {
    const queue = createDialQueue({ dialsAtOnce: 2, dialPauseMs: 500 });
    const began: string[] = [];
    const ends = new Map<string, { readonly connect: () => void; readonly fail: () => void }>();
    const ask = (name: string, failures = 0, gone = new AbortController().signal): Promise<unknown> => {
      const dial = () =>
        new Promise<void>((resolve, reject) => {
          began.push(name);
          ends.set(name, { connect: resolve, fail: () => reject(new Error(name)) });
        });
      return queue.dial({ failures, gone }, dial).catch((error: unknown) => error);
    };
    const end = async (name: string, how: "connect" | "fail"): Promise<void> => {
      ends.get(name)?.[how]();
      await vi.advanceTimersByTimeAsync(0);
    };
    return { ask, began, end };
  }

  test("lets whoever failed less often go first, then whoever waits longest", async () => {
    const { ask, began, end } = createTurns();
    for (const [name, failures] of [
      ["a", 0],
      ["b", 0],
      ["often", 7],
      ["once", 1],
      ["new", 0],
      ["newer", 0],
    ] as const)
      void ask(name, failures);
    await vi.advanceTimersByTimeAsync(0);
    for (const name of ["a", "b", "new", "newer", "once"]) await end(name, "connect");
    expect(began).toEqual(["a", "b", "new", "newer", "once", "often"]);
  });

  test("counts a dial that failed for a while longer", async () => {
    const { ask, began, end } = createTurns();
    for (const name of ["a", "b", "c"]) void ask(name);
    await vi.advanceTimersByTimeAsync(0);
    await end("a", "fail");
    await vi.advanceTimersByTimeAsync(499);
    expect(began).toEqual(["a", "b"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(began).toEqual(["a", "b", "c"]);
  });

  test("forgets an instance that goes while it waits", async () => {
    const { ask, began, end } = createTurns();
    const leaving = new AbortController();
    const left = new Error("left");
    void ask("a");
    void ask("b");
    const waited = ask("gone", 0, leaving.signal);
    void ask("d");
    leaving.abort(left);
    expect(await waited).toBe(left);
    expect(await ask("gone already", 0, leaving.signal)).toBe(left);
    await end("a", "connect");
    await end("b", "connect");
    expect(began).toEqual(["a", "b", "d"]);
  });
});

describe("instances that take connections and say nothing", () => {
  const cleanup = createCleanup();
  afterEach(() => cleanup.run());

  /** So many of them, and the connections that they have. */
  async function startSinks(count: number) {
    const seen = { addresses: [] as string[], open: 0, mostOpen: 0, dials: 0 };
    const taken = (socket: Socket): void => {
      seen.dials += 1;
      seen.open += 1;
      seen.mostOpen = Math.max(seen.mostOpen, seen.open);
      socket.on("error", () => undefined);
      // Reads, to learn that the other side is gone.
      socket.resume().once("close", () => (seen.open -= 1));
    };
    for (let i = 0; i < count; i++) {
      const server = createServer(taken);
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      cleanup.add(() => server.close());
      const address = server.address();
      seen.addresses.push(`127.0.0.1:${typeof address === "object" ? address?.port : undefined}`);
    }
    return seen;
  }

  test("are dialled a few at a time, however many there are, and do not hide the one that answers", async () => {
    const sinks = await startSinks(40);
    const endpoints = movingEndpoints(plainCluster(sinks.addresses.map(parseAddress)));
    const limits = { dialsAtOnce: 3, dialPauseMs: 10, connectTimeoutMs: 100 };
    const gateway = await startTestGateway(cleanup, { endpoints, limits });
    await eventually(() => sinks.dials).toBeGreaterThan(6);
    const good = await startToyBackend();
    cleanup.add(() => good.kill());
    endpoints.set(plainCluster([...sinks.addresses, good.address].map(parseAddress)));
    const answer = () => unary(toyClient(cleanup, gateway.address), "echo", Buffer.from("here"));
    await eventually(() =>
      answer().then(
        ({ bytes }) => String(bytes),
        () => "nobody",
      ),
    ).toBe("here");
    // A connection that the gateway has ended may not have been seen to close yet when the next one comes.
    expect(sinks.mostOpen).toBeLessThan(20);
  });

  test("are waited for no longer than a while", async () => {
    const sinks = await startSinks(4);
    const limits = { dialsAtOnce: 1, connectTimeoutMs: 60_000, connectWaitMs: 50 };
    const gateway = await startTestGateway(cleanup, { targets: { toy: sinks.addresses }, limits });
    const error = await rejection(unary(toyClient(cleanup, gateway.address), "echo", Buffer.alloc(0)));
    expect(error.code).toBe(codes.UNAVAILABLE);
    expect(sinks.dials).toBe(1);
  });
});
