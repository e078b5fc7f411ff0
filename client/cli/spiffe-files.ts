/** The files of `--spiffe-bundle`: `DOMAIN=FILE`, or a file that names its trust domains. */

import type { BundleSettings } from '../../merkle/runtime/identity/spiffe/types.ts';
import { MAX_BUNDLE } from '../../merkle/spiffe/trust-bundle.ts';
import { usage } from '../errors.ts';
import type { SpiffeBundleFile } from '../trust/spiffe-bundles.ts';
import { readWhole } from './files.ts';

/** A trust domain has no slash, so a path with `=` is given as ./a=b. */
const WITH_DOMAIN = /^([^/=]+)=(.+)$/s;

export const SPIFFE_BUNDLE_HELP =
  'a SPIFFE trust bundle (JWK set, or PEM) whose SVIDs count, or a file that names its trust domains; can be repeated';

/** @throws ClientError `file`, `usage` */
export async function readSpiffeFiles(given: readonly string[]): Promise<readonly SpiffeBundleFile[]> {
  const files: SpiffeBundleFile[] = [];
  for (const text of given) {
    const [, trustDomain, path = text] = WITH_DOMAIN.exec(text) ?? [];
    const bytes = await readWhole(path, MAX_BUNDLE, 'a SPIFFE trust bundle');
    files.push({ ...(trustDomain === undefined ? {} : { trustDomain }), bytes });
  }
  return files;
}

/** The path in an option's value. */
export function spiffePathOf(given: string): string {
  return WITH_DOMAIN.exec(given)?.[2] ?? given;
}

/** Where the bundles in values of `--server-bundle` come from, in the same two forms. @throws ClientError `usage` */
export function bundleSettingsOf(given: readonly string[]): BundleSettings {
  const trustDomains: { name: string; bundle: string }[] = [];
  const maps: string[] = [];
  for (const text of given) {
    const [, name, bundle] = WITH_DOMAIN.exec(text) ?? [];
    if (name === undefined || bundle === undefined) maps.push(text);
    else trustDomains.push({ name, bundle });
  }
  const [bundleMap, second] = maps;
  if (second !== undefined) throw usage(`${second} does not say its trust domain: give --server-bundle DOMAIN=FILE`);
  return { trustDomains, bundleMap };
}
