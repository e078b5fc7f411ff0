/** What this end of a TLS connection shows of itself, as a server or as a client: a certificate chain and its key, the newest each time. */
import { X509Certificate } from 'node:crypto';
import { formatPem } from '../../pem.ts';
import type { SourceDependencies, Svid, SvidSettings } from '../identity/spiffe/types.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { readTls, type TlsIdentity, type TlsPair, TlsWatch } from './tls-files.ts';

interface FileOptions {
  /** The files changed and cannot be used, in one sentence; undefined where they can again. */
  readonly onProblem?: (problem: string | undefined) => void;
  /** Default 2,000. */
  readonly watchMs?: number;
  /** What stands before `cert` and `key` in the names of the settings or flags, for messages. */
  readonly named: string;
}

/**
 * A chain and a key in files (PEM), read at once and again when the files change.
 * @throws RuntimeError `config`, `file`
 */
export async function fileIdentity(
  files: { readonly cert: string; readonly key: string },
  { onProblem = () => {}, watchMs, named }: FileOptions,
): Promise<TlsIdentity> {
  let pair = await readTls(files, named);
  const listeners = new Set<() => void>();
  const watch = new TlsWatch({
    files,
    pair,
    take: (next) => {
      pair = next;
      for (const listener of listeners) listener();
    },
    onProblem,
    named,
    ...(watchMs !== undefined && { watchMs }),
  });
  return {
    current: () => {
      const { validTo } = new X509Certificate(pair.cert);
      if (Date.parse(validTo) >= Date.now()) return pair;
      throw new RuntimeError(
        'svid',
        `the certificate in ${files.cert} ended at ${new Date(validTo).toISOString()}: renew it`,
      );
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: async () => watch.close(),
  };
}

/**
 * The X.509-SVID of a Workload API.
 * @throws RuntimeError `svid`: the Workload API gives none
 */
export async function svidIdentity(
  settings: SvidSettings,
  dependencies: SourceDependencies = {},
): Promise<TlsIdentity> {
  // gRPC is slow to load.
  const { openSvidSource } = await import('../identity/spiffe/open-sources.ts');
  const source = await openSvidSource(settings, dependencies);
  return {
    current: () => pairOf(source.current()),
    onChange: (listener) => source.onChange(listener),
    close: () => source.close(),
  };
}

function pairOf({ chain, key }: Svid): TlsPair {
  const cert = chain.map((der) => formatPem('CERTIFICATE', der)).join('');
  return { cert, key: key.export({ format: 'pem', type: 'pkcs8' }) as string };
}
