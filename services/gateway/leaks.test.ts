import { once } from "node:events";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { status as codes } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { frame } from "./framing.ts";
import { startDeafBackend } from "./testing/raw-backend.ts";
import { type Cleanup, createCleanup, eventually, rawCall, rawSession, startTestGateway } from "./testing/setup.ts";
import { toy } from "./testing/toy-backend.ts";

const cleanup = createCleanup();
afterEach(() => cleanup.run());

interface Relay {
  readonly address: string;
  /** Bytes of requests that went through. */
  bytes(): number;
  /** Resolves when the gateway has closed its end of every connection there was. */
  left(): Promise<unknown>;
}

/** Stands before the gateway, and sees which connections it keeps. */
async function startRelay(until: Cleanup, target: string): Promise<Relay> {
  const closed: Promise<unknown>[] = [];
  let bytes = 0;
  const server = createServer((near) => {
    const far: Socket = connectTcp({ host: "127.0.0.1", port: Number(target.split(":")[1]) });
    far.on("error", () => undefined);
    near.on("error", () => undefined);
    closed.push(new Promise((resolve) => far.once("close", resolve)));
    near.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    near.pipe(far).pipe(near);
    // A caller that is gone says FIN and nothing more, and what the gateway still says is taken in.
    near.once("close", () => far.resume().end());
    until.add(() => far.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  until.add(() => server.close());
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("a TCP server has an address");
  return { address: `127.0.0.1:${address.port}`, bytes: () => bytes, left: () => Promise.all(closed) };
}

test("lets go of callers who left after they had sent more than their backend read", async () => {
  const backend = await startDeafBackend(cleanup);
  const contract = { name: "toy.v1.ToyService", owner: "toy", public: true, definition: toy };
  const gateway = await startTestGateway(cleanup, {
    targets: { toy: [backend] },
    contracts: [{ ...contract, methods: { collect: { deadlineMs: 200, idempotency: "UNKNOWN" } } }],
    limits: { deadlineGraceMs: 100, shutdownMs: 60_000 },
  });
  const relay = await startRelay(cleanup, gateway.address);
  const body = frame(Buffer.alloc(4 * 1_024 * 1_024));
  const caller = async (): Promise<unknown> => {
    const session = await rawSession(cleanup, relay.address);
    const stream = rawCall(session, { ":path": toy.collect.path });
    stream.write(body);
    const [headers] = await once(stream, "response");
    session.destroy();
    return headers["grpc-status"];
  };
  const answers = await Promise.all(Array.from({ length: 10 }, caller));
  expect(answers).toEqual(answers.map(() => String(codes.DEADLINE_EXCEEDED)));
  await relay.left();
  await eventually(() => gateway.lines.filter(({ message }) => message === "call").length).toBe(10);
  await gateway.close();
});

test("notices that a caller left whose request waits for its backend to read", async () => {
  const backend = await startDeafBackend(cleanup);
  const gateway = await startTestGateway(cleanup, { targets: { toy: [backend] }, limits: { shutdownMs: 60_000 } });
  const relay = await startRelay(cleanup, gateway.address);
  const session = await rawSession(cleanup, relay.address);
  const stream = rawCall(session, { ":path": toy.collect.path });
  stream.write(frame(Buffer.alloc(4 * 1_024 * 1_024)));
  // More than one window: the gateway has read the first, and holds the second back.
  await eventually(relay.bytes).toBeGreaterThan(100_000);
  session.destroy();
  await relay.left();
  await eventually(() => gateway.lines.find(({ message }) => message === "call")).toMatchObject({ code: "CANCELLED" });
  await gateway.close();
});
