import { execFile, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { projectDir } from "./setup.ts";

const run = promisify(execFile);
const buf = `${projectDir}node_modules/.bin/buf`;
const common = ["curl", "--protocol", "grpc", "--http2-prior-knowledge"];

/** A JSON object, as `buf curl` prints messages. */
export type Json = Readonly<Record<string, unknown>>;

/** Calls the shop as a stranger would who has nothing but its address: the schema comes by reflection. */
export interface BufCurl {
  /** Every method that reflection tells of, as `package.Service/Method`. */
  listMethods(): Promise<readonly string[]>;
  /** Calls `package.Service/Method`. Throws a BufCurlError when the call fails. */
  call(method: string, request: Json, options?: { readonly token?: string }): Promise<Json>;
  /** Reads a stream until a message pleases, and leaves it then. */
  watch(
    method: string,
    request: Json,
    options: { readonly token?: string; readonly until: (message: Json) => boolean },
  ): Promise<readonly Json[]>;
}

/** What `buf curl` says of a failed call. */
export class BufCurlError extends Error {
  readonly code: string;
  /** The ErrorInfo's reason, where there is one. */
  readonly reason: string | undefined;
  /** All that it printed. */
  readonly text: string;

  constructor(text: string) {
    super(text);
    const parsed = parseError(text);
    this.code = parsed.code;
    this.reason = parsed.reason;
    this.text = text;
  }
}

export function bufCurl(address: string): BufCurl {
  const args = (method: string, request: Json, token: string | undefined): string[] => [
    ...common,
    ...(token === undefined ? [] : ["--header", `authorization: Bearer ${token}`]),
    "--data",
    JSON.stringify(request),
    `http://${address}/${method}`,
  ];
  return {
    async listMethods() {
      const { stdout } = await run(buf, [...common, "--list-methods", `http://${address}`]);
      return stdout.split("\n").filter((line) => line !== "");
    },
    async call(method, request, { token } = {}) {
      const { stdout } = await run(buf, args(method, request, token)).catch((error: unknown) => {
        throw new BufCurlError(stderrOf(error));
      });
      return parseObject(stdout);
    },
    async watch(method, request, { token, until }) {
      const child = spawn(buf, args(method, request, token), { stdio: ["ignore", "pipe", "inherit"] });
      const seen: Json[] = [];
      let text = "";
      try {
        for await (const line of createInterface({ input: child.stdout })) {
          // One message takes several lines, and ends with a brace at their beginning.
          text += line;
          if (line !== "}" && !/^\{.*\}$/.test(line)) continue;
          const message = parseObject(text);
          text = "";
          seen.push(message);
          if (until(message)) break;
        }
      } finally {
        child.kill();
      }
      return seen;
    },
  };
}

function stderrOf(error: unknown): string {
  if (error instanceof Error && "stderr" in error) return String(error.stderr);
  throw error;
}

function parseError(text: string): { readonly code: string; readonly reason: string | undefined } {
  const code = /"code":\s*"([a-z_]+)"/.exec(text)?.[1] ?? "";
  return { code, reason: /"reason":\s*"([A-Z_]+)"/.exec(text)?.[1] };
}

function parseObject(text: string): Json {
  const value: unknown = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error(`not an object: ${text}`);
  // An object that came from JSON has string keys and nothing else.
  return value as Json;
}

/** What stands at a path in a JSON object. The caller says what it is; a test that is wrong about that fails. */
export function at<Value>(json: Json, ...path: readonly string[]): Value {
  const value = path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    json,
  );
  if (value === undefined) throw new Error(`there is no ${path.join(".")} in ${JSON.stringify(json)}`);
  return value as Value;
}
