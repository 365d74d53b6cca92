import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { InstanceState } from "#gen/mesh/v1/instance.ts";
import type { RegisterRequest, RegisterResponse } from "#gen/mesh/v1/registry_service.ts";
import { backgroundCall } from "#mesh/rpc/call-context.ts";
import { createLogger } from "#mesh/telemetry/log.ts";
import { register } from "./registration.ts";
import { createSignal } from "./signal.ts";

beforeEach(() => vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] }));
afterEach(() => vi.useRealTimers());

const log = createLogger({ workload: "test", instance: "1", version: "test", level: "silent" });
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** One registration, as control sees it. */
interface Stream {
  readonly requests: RegisterRequest[];
  answer(response?: Partial<RegisterResponse>): void;
  fail(): void;
}

/** A control plane that answers when a test says so. */
function fakeControl(): {
  readonly streams: Stream[];
  register(requests: AsyncIterable<RegisterRequest>): AsyncGenerator<RegisterResponse>;
} {
  const streams: Stream[] = [];
  return {
    streams,
    async *register(incoming) {
      const bell = createSignal();
      const requests: RegisterRequest[] = [];
      const answers: RegisterResponse[] = [];
      let failed = false;
      streams.push({
        requests,
        answer(response) {
          answers.push({ lease: undefined, drained: false, ...response });
          bell.ring();
        },
        fail() {
          failed = true;
          bell.ring();
        },
      });
      const read = async (): Promise<void> => {
        for await (const request of incoming) requests.push(request);
      };
      void read().catch(() => {
        failed = true;
        bell.ring();
      });
      for (;;) {
        const rung = bell.next();
        const answer = answers.shift();
        if (failed) throw new Error("the stream broke");
        if (answer !== undefined) yield answer;
        else await rung;
      }
    },
  };
}

function start() {
  const control = fakeControl();
  let calls = 0n;
  const registration = register({
    instance: { name: "cart-1", service: "cart", version: "v1", host: "127.0.0.1", port: 1, startTime: undefined },
    stats: () => ({ callsTotal: calls++, callsFailed: 0n, callsShed: 0n, callsRunning: 0n, concurrencyLimit: 0n }),
    registry: control,
    background: (options) => backgroundCall(options, log),
    log,
  });
  return { registration, streams: control.streams };
}

/** What was reported, each as its state and its calls. */
function reports({ requests }: Stream): (readonly [InstanceState, bigint | undefined])[] {
  return requests.flatMap(({ content }) =>
    content?.$case === "report" ? [[content.value.state, content.value.stats?.callsTotal] as const] : [],
  );
}

async function registered() {
  const started = start();
  await pass(0);
  const [stream] = started.streams;
  if (stream === undefined) throw new Error("no stream was opened");
  stream.answer();
  await pass(0);
  return { ...started, stream };
}

test("names the instance, and reports at once and each second", async () => {
  const { stream } = await registered();
  expect(stream.requests[0]).toMatchObject({ content: { $case: "instance", value: { name: "cart-1" } } });
  expect(reports(stream)).toEqual([[InstanceState.SERVING, 0n]]);
  await pass(2_000);
  expect(reports(stream).map(([, calls]) => calls)).toEqual([0n, 1n, 2n]);
});

test("registers anew within a second after the stream broke", async () => {
  const { registration, streams, stream } = await registered();
  await pass(6_000);
  for (let i = 0; i < 6; i++) stream.answer();
  stream.fail();
  await pass(0);
  expect(registration.isRegistered()).toBe(false);
  await pass(1_000);
  expect(streams).toHaveLength(2);
  streams[1]?.answer();
  await pass(0);
  expect(registration.isRegistered()).toBe(true);
});

test("takes a control plane for lost that answers no report any more", async () => {
  const { registration, streams } = await registered();
  await pass(9_000);
  expect(registration.isRegistered()).toBe(true);
  await pass(3_000);
  expect(registration.isRegistered()).toBe(false);
  expect(streams).toHaveLength(2);
});

test("says at once that it leaves, and waits until callers have turned away", async () => {
  const { registration, stream } = await registered();
  let left = false;
  void registration.leave().then(() => {
    left = true;
  });
  await pass(0);
  expect(reports(stream).at(-1)?.[0]).toBe(InstanceState.DRAINING);
  stream.answer();
  await pass(1_500);
  expect(left).toBe(false);
  stream.answer({ drained: true });
  await pass(0);
  expect(left).toBe(true);
});

test.each<[string, number, (stream: Stream) => void]>([
  ["two seconds, when callers do not turn away", 2_000, (stream) => stream.answer()],
  ["300 ms, when control does not answer", 300, () => {}],
  ["no time, when control is lost meanwhile", 0, (stream) => stream.fail()],
])("leaves after %s", async (_, boundMs, then) => {
  const { registration, stream } = await registered();
  let left = false;
  void registration.leave().then(() => {
    left = true;
  });
  await pass(0);
  then(stream);
  if (boundMs > 0) {
    await pass(boundMs - 1);
    expect(left).toBe(false);
  }
  await pass(1);
  expect(left).toBe(true);
});

/** Says that it leaves; `left` tells whether it has. */
function leave({ registration }: Pick<ReturnType<typeof start>, "registration">): { readonly left: () => boolean } {
  let left = false;
  void registration.leave().then(() => {
    left = true;
  });
  return { left: () => left };
}

/** Registered for so long that another stream is on its way. */
async function renewing() {
  const started = await registered();
  for (let seconds = 0; started.streams.length < 2 && seconds < 600; seconds++) {
    started.stream.answer();
    await pass(1_000);
  }
  const next = started.streams[1];
  if (next === undefined) throw new Error("no further stream was opened");
  return { ...started, next };
}

test.each<[string, (streams: { readonly stream: Stream; readonly next: Stream }) => Promise<void>]>([
  ["before the other stands", async () => {}],
  [
    "after the old one has ended",
    async ({ stream }) => {
      stream.fail();
      await pass(0);
    },
  ],
])("says that it leaves while one stream takes the place of another, %s", async (_, then) => {
  const started = await renewing();
  const { next } = started;
  await then(started);
  const { left } = leave(started);
  await pass(0);
  expect(reports(next).at(-1)?.[0]).toBe(InstanceState.DRAINING);
  next.answer();
  started.stream.fail();
  await pass(1_500);
  expect(left()).toBe(false);
  next.answer({ drained: true });
  await pass(0);
  expect(left()).toBe(true);
  expect(started.streams).toHaveLength(2);
});

test("opens one more stream at once to say that it leaves when the last has just broken", async () => {
  const started = await registered();
  started.stream.fail();
  await pass(0);
  const { left } = leave(started);
  await pass(0);
  const next = started.streams[1];
  expect(next && reports(next)).toMatchObject([[InstanceState.DRAINING, expect.anything()]]);
  expect(left()).toBe(false);
  next?.answer({ drained: true });
  await pass(0);
  expect(left()).toBe(true);
});

test("leaves within a second where control never answered, and comes back no more", async () => {
  const started = start();
  const { left } = leave(started);
  await pass(999);
  expect(left()).toBe(false);
  await pass(1);
  expect(left()).toBe(true);
  await pass(60_000);
  expect(started.streams).toHaveLength(1);
});

test("leaves at once where control cannot be reached", async () => {
  const started = start();
  await pass(0);
  started.streams[0]?.fail();
  await pass(0);
  const { left } = leave(started);
  await pass(0);
  started.streams[1]?.fail();
  await pass(0);
  expect(left()).toBe(true);
});

test("waits to be known no longer than it was told", async () => {
  const { registration } = start();
  let waited = false;
  void registration.registered(1_000).then(() => {
    waited = true;
  });
  await pass(999);
  expect(waited).toBe(false);
  await pass(1);
  expect(waited).toBe(true);
});
