/**
 * Does `work` with a signal that aborts when `signal` does, after `ms` milliseconds, or when the work is done. For work
 * that needs both limits: Node collects an `AbortSignal.timeout` that is held by nothing but an `AbortSignal.any`, and then
 * neither ever aborts (https://github.com/nodejs/node/issues/57736).
 */
export async function withTimeLimit<T>(
  { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
  work: (limited: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ms);
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
    late.abort();
  }
}
