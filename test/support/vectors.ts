/**
 * Published test data, and bundles of the tests (own-cases.ts). The published data is available if TEST_VECTORS names a folder
 * with
 *
 *     $TEST_VECTORS/merkle/{inclusion,consistency}/   transparency-dev/merkle/testdata
 *     $TEST_VECTORS/sigstore-bundles/<case>/          a case of sigstore/sigstore-conformance/test/assets/bundle-verify:
 *                                                     bundle.sigstore.json, and artifact and trusted_root.json if the case
 *                                                     has its own
 *     $TEST_VECTORS/sigstore-bundles/                 a.txt and trusted_root.json, for every other case
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ownCases } from './own-cases.ts';

/** The identity and issuer of the published cases that do not name their own. */
const IDENTITY =
  'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main';
const ISSUER = 'https://token.actions.githubusercontent.com';

/** The folder `name` of the published test data. */
export function vectorFolder(name: string): string | undefined {
  const folder = process.env.TEST_VECTORS;
  return folder === undefined ? undefined : join(folder, name);
}

export interface BundleCase {
  readonly name: string;
  /** Whether a verifier must refuse the bundle. The name of the case says so. */
  readonly refused: boolean;
  readonly bundle: Uint8Array;
  readonly artifact: Uint8Array;
  readonly trustedRoot: Uint8Array;
  /** PEM of the signer's key; undefined if a certificate must name `identity` and `issuer`. */
  readonly key: string | undefined;
  readonly identity: string;
  readonly issuer: string;
}

export class BundleCases {
  readonly source: 'our own' | 'published';
  readonly all: readonly BundleCase[];

  constructor(source: BundleCases['source'], all: readonly BundleCase[]) {
    this.source = source;
    this.all = all;
  }

  named(name: string): BundleCase {
    const found = this.all.find((one) => one.name === name);
    if (found === undefined) throw new Error(`there is no bundle ${name}`);
    return found;
  }

  /** Title of the tests with these bundles. */
  toString(): string {
    return this.source;
  }
}

/** The bundles of the tests, and the published ones if available, for `describe.each`. */
export function bundleCases(): BundleCases[] {
  const own = new BundleCases('our own', ownCases());
  const folder = vectorFolder('sigstore-bundles');
  if (folder === undefined) return [own];
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [
    own,
    new BundleCases(
      'published',
      names.map(({ name }) => publishedCase(folder, name)),
    ),
  ];
}

function publishedCase(folder: string, name: string): BundleCase {
  const own = (file: string) => {
    const path = join(folder, name, file);
    return existsSync(path) ? readFileSync(path) : undefined;
  };
  return {
    name,
    refused: name.endsWith('_fail'),
    bundle: own('bundle.sigstore.json')!,
    artifact: own('artifact') ?? readFileSync(join(folder, 'a.txt')),
    trustedRoot: own('trusted_root.json') ?? readFileSync(join(folder, 'trusted_root.json')),
    key: own('key.pub')?.toString(),
    identity: own('identity')?.toString().trim() ?? IDENTITY,
    issuer: own('issuer')?.toString().trim() ?? ISSUER,
  };
}
