import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** What came to the receiver. */
export interface Received {
  readonly event: { readonly id: string; readonly type: string; readonly authorization_id: string };
  readonly body: string;
  readonly signature: string;
}

/** A receiver of webhooks, which answers as a test wants. */
export interface Receiver {
  readonly url: URL;
  readonly received: Received[];
  /** The most requests that it had open at a time. */
  maxOpen(): number;
  /** The events by their first arrival, each once. */
  types(): readonly string[];
  close(): Promise<void>;
}

/** What it answers to an event; 200 unless told otherwise. */
export type Answering = (received: Received) => number | Promise<number>;

export const webhookSecret = "whsec_for_tests";

export async function startReceiver(answering: Answering = () => 200, port = 0): Promise<Receiver> {
  const received: Received[] = [];
  let open = 0;
  let maxOpen = 0;
  const server = createServer(async (request, response) => {
    open += 1;
    maxOpen = Math.max(maxOpen, open);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const one = { event: JSON.parse(body), body, signature: String(request.headers["simulator-signature"]) };
    received.push(one);
    response.statusCode = await answering(one);
    open -= 1;
    response.end();
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on TCP has an address of this form.
  const bound = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${bound.port}/webhooks/simulator`),
    received,
    maxOpen: () => maxOpen,
    types: () => [...new Map(received.map(({ event }) => [event.id, event.type])).values()],
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

/** Whether a signature is right, reckoned as the receiver's documentation says. */
export function isSigned({ signature, body }: Received): boolean {
  const time = /^t=(\d+),/.exec(signature)?.[1] ?? "";
  const digest = createHmac("sha256", webhookSecret).update(`${time}.${body}`).digest("hex");
  return signature === `t=${time},v1=${digest}`;
}
