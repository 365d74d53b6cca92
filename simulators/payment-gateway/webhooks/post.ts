import * as http from "node:http";
import * as https from "node:https";

/** Posts to one address, over connections that stay for a while. */
export interface Poster {
  /** Resolves with the status of the answer, whatever it is; rejects when none comes. Redirects are not followed. */
  post(body: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<number>;
  close(): void;
}

/** How long an unused connection is kept: shorter than a receiver would keep it, so that neither closes on the other. */
const KEEP_CONNECTION_MS = 4_000;

/** A poster to an http or https address with at most `maxSockets` connections. */
export function createPoster(url: URL, maxSockets: number): Poster {
  const { Agent, request } = url.protocol === "https:" ? https : http;
  const agent = new Agent({ keepAlive: true, maxSockets, timeout: KEEP_CONNECTION_MS });
  return {
    post: (body, headers, signal) =>
      new Promise((resolve, reject) => {
        const length = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
        const sent = request(url, { method: "POST", agent, signal, headers: { ...headers, ...length } }, (response) => {
          response.on("error", reject);
          response.once("end", () => resolve(response.statusCode ?? 0));
          response.resume();
        });
        sent.once("error", reject);
        sent.end(body);
      }),
    close: () => agent.destroy(),
  };
}
