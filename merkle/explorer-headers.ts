/**
 * What a server says about the page of an explorer. The page shows texts of strangers and talks to logs, so its policy lets through
 * its own files alone: no script and no style in the page, nothing of another server, and requests only to the addresses in
 * `explorer.json`. Scripts come to the browser's sinks by one named policy of Trusted Types (client/explorer/page/in-worker.ts).
 */

/**
 * The Content-Security-Policy.
 *
 * @param origins to which the page connects, beside its own (`explorerOrigins`)
 * @param inPage for a `meta` element, which cannot say who may frame the page
 */
export function explorerPolicy(origins: readonly string[], inPage = false): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "worker-src 'self'",
    `connect-src ${["'self'", ...origins].join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    ...(inPage ? [] : ["frame-ancestors 'none'"]),
    "require-trusted-types-for 'script'",
    'trusted-types stele-explorer',
  ].join('; ');
}

/** The headers of every file of the page, also of its worker, whose requests follow the policy of its own script. */
export function explorerHeaders(origins: readonly string[]): Readonly<Record<string, string>> {
  return {
    'content-security-policy': explorerPolicy(origins),
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  };
}

/**
 * How long the file at `path` below the page may be kept: the name of an asset has the hash of its bytes. A worker is under the
 * policy that came with its script, so a script that was kept would hold it to the addresses of an earlier `explorer.json`.
 */
export function explorerCaching(path: string): string {
  const isWorker = /^assets\/explorer-worker-/.test(path);
  return isHashedAsset(path) && !isWorker ? 'public, max-age=31536000, immutable' : 'no-cache';
}

/** Whether the bytes at this path never change. */
export function isHashedAsset(path: string): boolean {
  return /^assets\/[A-Za-z0-9_.-]*-[A-Za-z0-9_-]{8}\.[a-z0-9]+$/.test(path);
}
