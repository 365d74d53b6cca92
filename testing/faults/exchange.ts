/** One request and its answer, on their way between two programs. */
export interface Exchange {
  readonly caller: string;
  readonly callee: string;
  /** `/shop.payments.v1.PaymentService/CapturePayment` of gRPC, `POST /v1/authorizations` of HTTP/1. */
  readonly method: string;
  /** The request's headers, without those of HTTP/2 itself. */
  readonly headers: Headers;
  /** The request's bytes: of gRPC with the five that go before the message. */
  readonly request: Buffer;
  /** The answer's bytes: of HTTP/1, once the callee has answered. */
  readonly answer: Buffer;
}

export type Headers = Readonly<Record<string, string>>;

/** Where an exchange is: the callee has not seen the request yet, or has answered and the caller has not seen that. */
export type Moment = "before" | "after";

/**
 * What becomes of an exchange. `pass`: it goes on, even if its caller is gone by now. `cut`: the connection breaks, and
 * what was on its way is lost. Or, before the callee has seen it, the request goes on with these headers on top.
 */
export type Verdict = "pass" | "cut" | { readonly headers: Headers };

/** Looks at every exchange, twice, and decides. It takes as long as its promise. */
export type Intercept = (exchange: Exchange, moment: Moment) => Verdict | Promise<Verdict>;

/** Lets everything through, but while it is shut. */
export interface Gate {
  passed(): Promise<void>;
  /** Shuts it for so long. */
  shut(ms: number): void;
  /** Opens it for good. */
  open(): void;
}

export function createGate(): Gate {
  let opened = Promise.resolve();
  let open = (): void => {};
  return {
    passed: () => opened,
    shut(ms) {
      open();
      opened = new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        open = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
    open: () => open(),
  };
}
