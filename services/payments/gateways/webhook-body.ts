/** What a webhook's body says; undefined when it is no JSON. */
export function readBody(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString("utf8"));
  } catch {
    return undefined;
  }
}

const EVENT_ID = /^evt_\w{1,250}$/;

/** Whether this can be the id of an event: the simulator and Stripe make them alike. */
export function isEventId(id: unknown): id is string {
  return typeof id === "string" && EVENT_ID.test(id);
}
