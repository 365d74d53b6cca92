/** What came of a request so far, as long as it is little enough to be sent a second time. */
export class Replay {
  readonly #limitBytes: number;
  #chunks: Buffer[] | undefined = [];
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Whether everything that came is still here. */
  get whole(): boolean {
    return this.#chunks !== undefined;
  }

  isEmpty(): boolean {
    return this.#bytes === 0;
  }

  chunks(): readonly Buffer[] {
    return this.#chunks ?? [];
  }

  keep(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limitBytes) this.#chunks = undefined;
    else this.#chunks?.push(chunk);
  }

  /** Forgets it: the request won't be sent again. */
  drop(): void {
    this.#chunks = undefined;
  }
}
