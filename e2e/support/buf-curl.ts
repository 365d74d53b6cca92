import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { BadRequest, ErrorInfo } from "#gen/google/rpc/error_details.ts";
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
class BufCurlError extends Error {
  /** `invalid_argument` */
  readonly code: string;
  /** The ErrorInfo's reason. */
  readonly reason: string | undefined;
  /** The fields that break a rule. */
  readonly fields: readonly string[];

  constructor(text: string) {
    super(text);
    const { code, details } = parseObject(text);
    const detail = (type: string): Buffer => Buffer.from(detailValue(details, type), "base64");
    this.code = String(code);
    this.reason = ErrorInfo.decode(detail("google.rpc.ErrorInfo")).reason;
    this.fields = BadRequest.decode(detail("google.rpc.BadRequest")).fieldViolations.map(({ field }) => field);
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
      // In a group of its own: `buf` is a script that starts the program, and both are to end.
      const child = spawn(buf, args(method, request, token), { stdio: ["ignore", "pipe", "inherit"], detached: true });
      const closed = once(child, "close");
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
        if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
        await closed;
      }
      return seen;
    },
  };
}

function stderrOf(error: unknown): string {
  if (error instanceof Error && "stderr" in error) return String(error.stderr);
  throw error;
}

// Empty, as an absent message is, when there is no such detail.
function detailValue(details: unknown, type: string): string {
  const list: readonly unknown[] = Array.isArray(details) ? details : [];
  const found = list.find((detail) => isJson(detail) && detail.type === type);
  return isJson(found) ? String(found.value) : "";
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseObject(text: string): Json {
  const value: unknown = JSON.parse(text);
  if (!isJson(value)) throw new Error(`not an object: ${text}`);
  return value;
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
