import { afterEach, describe, expect, test } from "vitest";
import {
  deferred,
  failureOf,
  type ProbeMesh,
  type ProbeRequest,
  probeRequest,
  probeResponse,
  startProbe,
} from "./probe.fixture.ts";

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(...options: Parameters<typeof startProbe>): Promise<ProbeMesh> {
  const mesh = await startProbe(...options);
  cleanUps.push(() => mesh.close());
  return mesh;
}

const padding = new Uint8Array(64 * 1024);

async function drain(stream: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _ of stream) count += 1;
  return count;
}

describe("a stream of answers", () => {
  test("comes in order and whole", async () => {
    const mesh = await start();
    const indexes: number[] = [];
    for await (const { index } of mesh.probe.watch(probeRequest({ count: 500 }), mesh.call())) indexes.push(index);
    expect(indexes).toEqual(Array.from({ length: 500 }, (_, index) => index));
  });

  test("is made no faster than it is read", async () => {
    let made = 0;
    const mesh = await start({
      async *watch() {
        for (; made < 1_000; made++) yield probeResponse({ padding });
      },
    });
    const stream = mesh.probe.watch(probeRequest(), mesh.call())[Symbol.asyncIterator]();
    await stream.next();
    // What fits into the windows and socket buffers goes out; then the handler has to wait for the reader.
    let before = -1;
    await expect
      .poll(
        () => {
          const still = made === before;
          before = made;
          return still;
        },
        { interval: 200 },
      )
      .toBe(true);
    expect(made).toBeLessThan(500);
    await stream.return?.(undefined);
  });

  test("stops being made when its reader leaves", async () => {
    const stopped = deferred();
    const mesh = await start({
      async *watch() {
        try {
          for (;;) yield probeResponse();
        } finally {
          stopped.resolve();
        }
      },
    });
    for await (const _ of mesh.probe.watch(probeRequest(), mesh.call())) break;
    await stopped.promise;
    await expect.poll(() => mesh.logs.at(-1)).toMatchObject({ method: "Watch", code: "CANCELLED" });
  });

  test("stops being made when its call is cancelled while the handler waits", async () => {
    const stopped = deferred<unknown>();
    const mesh = await start({
      async *watch(_, { signal }) {
        yield probeResponse();
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        stopped.resolve(signal.reason);
      },
    });
    const giveUp = new AbortController();
    const stream = mesh.probe.watch(probeRequest(), mesh.call({ signal: giveUp.signal }));
    const failure = failureOf(
      (async () => {
        for await (const _ of stream) giveUp.abort();
      })(),
    );
    expect(await failure).toMatchObject({ reason: "CANCELLED" });
    expect(await stopped.promise).toMatchObject({ reason: "CANCELLED" });
  });

  test("fails after what came before the failure", async () => {
    const mesh = await start({
      async *watch() {
        yield probeResponse({ index: 1 });
        throw new Error("broken");
      },
    });
    const received: number[] = [];
    const failure = await failureOf(
      (async () => {
        for await (const { index } of mesh.probe.watch(probeRequest(), mesh.call())) received.push(index);
      })(),
    );
    expect(failure).toMatchObject({ code: "INTERNAL", reason: "INTERNAL" });
    expect(received).toEqual([1]);
  });

  test("begins only when it is iterated", async () => {
    const mesh = await start();
    mesh.probe.watch(probeRequest(), mesh.call());
    await mesh.probe.read(probeRequest(), mesh.call());
    expect(mesh.logs.filter(({ method }) => method === "Watch")).toEqual([]);
  });

  test("passes through two hops with its pace and its end", async () => {
    const stopped = deferred();
    const mesh = await start(
      {
        async *watch() {
          try {
            for (let index = 0; ; index++) yield probeResponse({ index });
          } finally {
            stopped.resolve();
          }
        },
      },
      { front: (probe) => ({ watch: (request, call) => probe.watch(request, call) }) },
    );
    for await (const { index } of mesh.front.watch(probeRequest(), mesh.call())) if (index === 3) break;
    await stopped.promise;
  });

  test("that is none is a defect of the handler", async () => {
    const mesh = await start({
      // @ts-expect-error a handler that ignores the types
      watch: () => 7,
    });
    expect(await failureOf(drain(mesh.probe.watch(probeRequest(), mesh.call())))).toMatchObject({ code: "INTERNAL" });
  });
});

describe("a stream of requests", () => {
  async function* requests(count: number, fields: Partial<ProbeRequest> = {}) {
    for (let i = 0; i < count; i++) yield probeRequest({ name: `n${i}`, ...fields });
  }

  test("is read no faster than the handler takes it", async () => {
    let made = 0;
    const proceed = deferred();
    const mesh = await start({
      async collect(incoming) {
        await proceed.promise;
        return probeResponse({ index: await drain(incoming) });
      },
    });
    const paced = async function* () {
      while (made < 200) {
        made += 1;
        yield probeRequest({ padding });
      }
    };
    const answer = mesh.probe.collect(paced(), mesh.call());
    let before = -1;
    await expect
      .poll(
        () => {
          const still = made > 0 && made === before;
          before = made;
          return still;
        },
        { interval: 150 },
      )
      .toBe(true);
    expect(made).toBeLessThan(200);
    proceed.resolve();
    expect(await answer).toMatchObject({ index: 200 });
  });

  test("need not be read to its end", async () => {
    const closed = deferred();
    const mesh = await start({
      async collect(incoming) {
        for await (const { name } of incoming) return probeResponse({ text: name });
        return probeResponse();
      },
    });
    const endless = async function* () {
      try {
        for (;;) yield probeRequest();
      } finally {
        closed.resolve();
      }
    };
    expect(await mesh.probe.collect(endless(), mesh.call())).toMatchObject({ text: "probe" });
    await closed.promise;
  });

  test("that fails on its way out cancels the call with the caller's own error", async () => {
    const begun = deferred();
    const ended = deferred<unknown>();
    const mesh = await start({
      async collect(incoming) {
        try {
          for await (const _ of incoming) begun.resolve();
        } catch (error) {
          ended.resolve(error);
          throw error;
        }
        return probeResponse();
      },
    });
    const broken = async function* () {
      yield probeRequest();
      await begun.promise;
      throw new Error("the file ended too early");
    };
    await expect(mesh.probe.collect(broken(), mesh.call())).rejects.toThrow("the file ended too early");
    expect(await ended.promise).toMatchObject({ reason: "CANCELLED" });
  });

  test("and of answers go both ways at once", async () => {
    const mesh = await start();
    const heard = deferred();
    const polite = async function* () {
      yield probeRequest({ name: "hello" });
      await heard.promise; // the second request waits for the first answer
      yield probeRequest({ name: "goodbye" });
    };
    const answers: string[] = [];
    for await (const { text } of mesh.probe.chat(polite(), mesh.call())) {
      answers.push(text);
      heard.resolve();
    }
    expect(answers).toEqual(["hello", "goodbye"]);
  });

  test("may be empty", async () => {
    const mesh = await start();
    expect(await mesh.probe.collect(requests(0), mesh.call())).toMatchObject({ index: 0 });
    expect(await drain(mesh.probe.chat(requests(0), mesh.call()))).toBe(0);
  });
});
