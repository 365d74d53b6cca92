/** gRPC's frame around a message: whether it is compressed (one byte), and its length (four, big-endian). */
const PREFIX_BYTES = 5;

/** Frames an uncompressed message. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.alloc(PREFIX_BYTES + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/** The first message in `bytes` and what follows it, or undefined while it isn't complete. */
export function firstMessage(bytes: Buffer): { readonly message: Buffer; readonly rest: Buffer } | undefined {
  if (bytes.length < PREFIX_BYTES) return undefined;
  const end = PREFIX_BYTES + bytes.readUInt32BE(1);
  if (bytes.length < end) return undefined;
  return { message: bytes.subarray(PREFIX_BYTES, end), rest: bytes.subarray(end) };
}
