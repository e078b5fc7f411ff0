/** A caller gives up a connection before it sends anything: it refuses the server, or has no identity to show. */
export class ConnectionRefused extends Error {
  override readonly name = 'ConnectionRefused';
}

/** The refusal behind an error of a request; undefined for any other error. `fetch` hides it one level deeper. */
export function connectionRefused(cause: unknown): ConnectionRefused | undefined {
  if (cause instanceof ConnectionRefused) return cause;
  const inner = (cause as { readonly cause?: unknown } | undefined)?.cause;
  return inner instanceof ConnectionRefused ? inner : undefined;
}
