/** Requests of a stream, as a test comes to send them. */
export interface Requests<T> extends AsyncIterable<T> {
  send(request: T): void;
  end(): void;
}

export function requests<T>(...first: readonly T[]): Requests<T> {
  const waiting: T[] = [...first];
  let ended = false;
  let wake = (): void => {};
  return {
    send(request) {
      waiting.push(request);
      wake();
    },
    end() {
      ended = true;
      wake();
    },
    async *[Symbol.asyncIterator]() {
      while (!ended || waiting.length > 0) {
        const next = waiting.shift();
        if (next !== undefined) yield next;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    },
  };
}
