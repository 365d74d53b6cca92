/** What goes back over the wire. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
}

interface ErrorDetails {
  readonly type?: string;
  readonly code?: string;
  readonly param?: string;
  readonly [name: string]: unknown;
}

/** An answer of Stripe's that says no. */
export class StripeFault extends Error {
  override readonly name = "StripeFault";
  readonly reply: Reply;
  /**
   * Whether it was found before anything was begun: then its idempotency key stays free, while an answer from the midst of
   * work is kept with the key.
   */
  readonly atTheDoor: boolean;

  constructor(status: number, message: string, details: ErrorDetails = {}, atTheDoor = false) {
    super(message);
    this.reply = { status, body: { error: { type: "invalid_request_error", message, ...details } } };
    this.atTheDoor = atTheDoor;
  }
}

/** A request that is wrong in itself. */
export function invalid(message: string, details: ErrorDetails = {}): StripeFault {
  return new StripeFault(400, message, details, true);
}

/** Something that is not there. */
export function missing(what: string, id: string, param: string): StripeFault {
  return new StripeFault(404, `No such ${what}: '${id}'`, { code: "resource_missing", param }, true);
}
