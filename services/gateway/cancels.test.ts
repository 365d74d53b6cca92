import { once } from "node:events";
import { constants } from "node:http2";
import { status as codes } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { frame } from "./framing.ts";
import type { GatewayLimits } from "./limits.ts";
import {
  createCleanup,
  errorInfoOf,
  eventually,
  rawCall,
  rawSession,
  rejection,
  startPair,
  unary,
} from "./testing/setup.ts";
import { toy } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

/** A pair, and what opens calls on connections of its own and cancels them all once they have arrived. */
async function startAttack(limits: Partial<GatewayLimits> = {}) {
  const pair = await startPair(cleanup, limits);
  const { gateway, backend } = pair;
  let arrived = 0;
  backend.events.on("call", (name) => {
    if (name === "hang") arrived += 1;
  });
  const attack = async (connections: number, calls: number): Promise<void> => {
    const wanted = arrived + connections * calls;
    const opened = Array.from({ length: connections }, async () => {
      const session = await rawSession(cleanup, gateway.address);
      return Array.from({ length: calls }, () => rawCall(session, { ":path": toy.hang.path }));
    });
    const streams = (await Promise.all(opened)).flat();
    for (const stream of streams) stream.end(frame(Buffer.alloc(0)));
    await eventually(() => arrived).toBe(wanted);
    const closed = streams.map((stream) => once(stream, "close"));
    for (const stream of streams) stream.close(constants.NGHTTP2_CANCEL);
    await Promise.all(closed);
  };
  return { ...pair, attack };
}

test("fails no caller while others cancel more calls than a backend's connection stands", async () => {
  const { gateway, client, attack } = await startAttack({ maxConcurrentStreams: 500 });
  const { path, requestSerialize, responseDeserialize } = toy.chat;
  const conversation = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  conversation.on("error", () => undefined); // its status is looked at below
  conversation.write(Buffer.from("before"));
  await once(conversation, "data");
  let attacking = true;
  const victim = async (): Promise<number> => {
    let answers = 0;
    for (; attacking; answers++) await unary(client, "echo", Buffer.from("x"));
    return answers;
  };
  const answers = victim();
  for (let round = 0; round < 3; round++) await attack(1, 450);
  await attack(3, 450);
  // What a backend that has had enough says comes after the last cancel; this call would be behind it.
  conversation.write(Buffer.from("after"));
  expect(String((await once(conversation, "data"))[0])).toBe("after");
  attacking = false;
  expect(await answers).toBeGreaterThan(0);
  const status = once(conversation, "status");
  conversation.end();
  expect((await status)[0]).toMatchObject({ code: codes.OK });
  const calls = gateway.lines.filter(({ message }) => message === "call");
  expect(new Set(calls.map(({ code }) => code))).toEqual(new Set(["OK", "CANCELLED"]));
  expect(calls.filter(({ code }) => code === "CANCELLED")).toHaveLength(6 * 450);
});

test("takes a connection into use again when its cancels are made up for", async () => {
  const limits = {
    cancelsPerSession: { burst: 5, perSecond: 50 },
    sessionsPerAddress: 1,
    restingSessionsPerAddress: 0,
  };
  const { gateway, client, attack } = await startAttack(limits);
  await attack(1, 20);
  // The health watch keeps the one connection there may be.
  const error = await rejection(unary(client, "echo", Buffer.alloc(0)));
  expect(errorInfoOf(error)).toMatchObject({ reason: "OVERLOADED" });
  expect(error.code).toBe(codes.RESOURCE_EXHAUSTED);
  const answer = () => unary(client, "echo", Buffer.from("x")).then(({ bytes }) => bytes.toString());
  await eventually(() => answer().catch(() => "shed")).toBe("x");
  expect(gateway.lines.filter(({ message }) => message === "backend connected")).toHaveLength(1);
});
