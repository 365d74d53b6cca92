import { rm } from "node:fs/promises";
import { pino } from "pino";
import { temporaryFolder as makeFolder } from "#testing/folders.ts";
import { type SimulatorOptions, startPaymentGatewaySimulator } from "./simulator.ts";

export const apiKey = "key_for_tests";

/** An answer of the gateway. `body` is the parsed JSON; tests look into it with matchers. */
export interface TestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface TestClient {
  post(path: string, body: unknown, idempotencyKey: string): Promise<TestAnswer>;
  get(path: string): Promise<TestAnswer>;
  /** Authorizes 100.00 EUR unless told otherwise, under a key of its own unless given. */
  authorize(overrides?: Readonly<Record<string, unknown>>, idempotencyKey?: string): Promise<TestAnswer>;
}

/** A client of the gateway at `url` that sends the test API key. */
export function createTestClient(url: string): TestClient {
  let keys = 0;
  const authorization = `Bearer ${apiKey}`;
  const client: TestClient = {
    async post(path, body, idempotencyKey) {
      const headers = { authorization, "content-type": "application/json", "idempotency-key": idempotencyKey };
      return toAnswer(await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) }));
    },
    get: async (path) => toAnswer(await fetch(url + path, { headers: { authorization } })),
    authorize: (overrides = {}, idempotencyKey = `authorize-${++keys}`) =>
      client.post("/v1/authorizations", { ...payment, ...overrides }, idempotencyKey),
  };
  return client;
}

export const payment = { amount: "10000", currency: "EUR", payment_token: "tok_visa", reference: "ord_1" };

/** Reads an HTTP answer of the gateway. */
export async function toAnswer(response: Response): Promise<TestAnswer> {
  // Whatever it holds, the tests compare it field by field.
  const body = (await response.json()) as Readonly<Record<string, unknown>>;
  return { status: response.status, headers: response.headers, body };
}

/** The `id` of an answer that made something. */
export function idOf({ body }: TestAnswer): string {
  if (typeof body.id !== "string") throw new Error(`no id in ${JSON.stringify(body)}`);
  return body.id;
}

/** A folder that is removed with all that is in it. */
export async function temporaryFolder(): Promise<{ readonly path: string; remove(): Promise<void> }> {
  const path = await makeFolder();
  return { path, remove: () => rm(path, { recursive: true, force: true }) };
}

export interface TestGateway extends TestClient {
  readonly url: string;
  readonly port: number;
  /** Closes the gateway, but leaves its data folder. */
  close(): Promise<void>;
}

/** Starts a gateway on a free port, whose slow answers take a minute unless told otherwise. */
export async function startTestGateway(
  options: Partial<SimulatorOptions> & Pick<SimulatorOptions, "dataDir">,
): Promise<TestGateway> {
  const log = pino({ level: "silent" });
  const simulator = await startPaymentGatewaySimulator({ port: 0, apiKey, slowMs: 60_000, log, ...options });
  return { ...simulator, ...createTestClient(simulator.url) };
}
