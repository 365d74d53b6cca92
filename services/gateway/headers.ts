import { constants, type IncomingHttpHeaders, type OutgoingHttpHeaders, sensitiveHeaders } from "node:http2";

/**
 * Headers that belong to one hop, or that the gateway must set itself: `content-length` because a failure may cut a
 * body short, `te` because it is the same for every call.
 */
const HOP_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** What only processes of the mesh may say to each other. */
const INTERNAL_PREFIX = "shopmesh-";

const COLON = 58;

/** A received header block: as an object, and as Node read it from the wire, name and value in turn. */
export interface ReceivedHeaders {
  readonly parsed: IncomingHttpHeaders;
  readonly raw: readonly string[];
}

/** The header block of a call to a backend: the caller's, less what isn't theirs to say, and `added` over it. */
export function forwardedRequest(
  received: ReceivedHeaders,
  path: string,
  authority: string,
  added: Readonly<Record<string, string>>,
): OutgoingHttpHeaders {
  const headers = forwarded(received);
  headers[constants.HTTP2_HEADER_METHOD] = "POST";
  headers[constants.HTTP2_HEADER_SCHEME] = "http";
  headers[constants.HTTP2_HEADER_AUTHORITY] = authority;
  headers[constants.HTTP2_HEADER_PATH] = path;
  headers.te = "trailers";
  return Object.assign(headers, added);
}

/** The header block of a backend's answer, for the caller. */
export function forwardedResponse(received: ReceivedHeaders): OutgoingHttpHeaders {
  const headers = forwarded(received);
  headers[constants.HTTP2_HEADER_STATUS] = received.parsed[constants.HTTP2_HEADER_STATUS];
  return headers;
}

/**
 * Everything that travels on, byte for byte: names that come several times stay several entries, in their order, and
 * what the sender wants kept out of compression tables stays out.
 */
export function forwarded({ parsed, raw }: ReceivedHeaders): OutgoingHttpHeaders {
  // Without a prototype, as Node makes its own: a header may be called `constructor`.
  const headers: OutgoingHttpHeaders = Object.create(null);
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] ?? "";
    const value = raw[i + 1] ?? "";
    if (name.charCodeAt(0) === COLON || name.startsWith(INTERNAL_PREFIX) || HOP_HEADERS.has(name)) continue;
    const before = headers[name];
    if (before === undefined) headers[name] = value;
    else if (Array.isArray(before)) before.push(value);
    // Names of which HTTP allows one (`authorization`): Node keeps the first, and refuses to send a second.
    else if (parsed[name] !== before) headers[name] = [String(before), value];
  }
  // The types don't know the symbol as a key of either, hence Reflect.
  const secret: unknown = Reflect.get(parsed, sensitiveHeaders);
  if (secret !== undefined) Reflect.set(headers, sensitiveHeaders, secret);
  return headers;
}

/** Node hands the header block as it was on the wire in a further argument, which its types leave out. */
export function rawOf(rest: readonly unknown[]): readonly string[] {
  const [raw] = rest;
  if (!Array.isArray(raw)) throw new TypeError("this version of Node does not pass raw HTTP/2 headers");
  return raw;
}
