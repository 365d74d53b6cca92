import { type Client, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { ErrorInfo } from "#gen/google/rpc/error_details.ts";
import { Status } from "#gen/google/rpc/status.ts";
import { systemClock } from "#mesh/clock.ts";

/** A unary method as the generated definitions describe it. */
export interface UnaryMethod<Request, Response> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

/** A call that failed, as a caller with nothing of ours but the contracts sees it. */
export class CallFailure extends Error {
  override readonly name = "CallFailure";
  /** `PlaceOrder`. */
  readonly method: string;
  /** `FAILED_PRECONDITION`. */
  readonly code: string;
  /** The reason of the answer's `ErrorInfo`; empty where there is none. */
  readonly reason: string;
  /** What else that tells, such as the `order_id`. */
  readonly metadata: Readonly<Record<string, string>>;

  constructor(path: string, error: ServiceError) {
    super(error.details, { cause: error });
    this.method = methodName(path);
    this.code = status[error.code] ?? String(error.code);
    const info = infoOf(error);
    this.reason = info?.reason ?? "";
    this.metadata = info?.metadata ?? {};
  }
}

/** `PlaceOrder` of `/shop.orders.v1.CheckoutService/PlaceOrder`. */
export function methodName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Makes a unary call on a bare grpc-js client. Rejects with a CallFailure. */
export function callUnary<Request, Response>(
  client: Client,
  method: UnaryMethod<Request, Response>,
  request: Request,
  options: {
    readonly token: string | undefined;
    readonly timeoutMs: number;
    readonly headers?: Readonly<Record<string, string>>;
  },
): Promise<Response> {
  const metadata = new Metadata();
  if (options.token !== undefined) metadata.set("authorization", `Bearer ${options.token}`);
  for (const [name, value] of Object.entries(options.headers ?? {})) metadata.set(name, value);
  const deadline = systemClock.now().getTime() + options.timeoutMs;
  const { path, requestSerialize, responseDeserialize } = method;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      { deadline },
      (error, response) => {
        if (error !== null) return reject(new CallFailure(path, error));
        if (response === undefined) return reject(new Error(`${path} succeeded without an answer`));
        resolve(response);
      },
    );
  });
}

function infoOf({ metadata }: ServiceError): ErrorInfo | undefined {
  const [details] = metadata?.get("grpc-status-details-bin") ?? [];
  if (!Buffer.isBuffer(details)) return undefined;
  const info = Status.decode(details).details.find(({ typeUrl }) => typeUrl.endsWith("/google.rpc.ErrorInfo"));
  return info === undefined ? undefined : ErrorInfo.decode(info.value);
}
