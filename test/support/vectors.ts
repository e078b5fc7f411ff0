/** The bundles of sigstore-conformance in `../shared/vectors`; its README says what goes with each. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const DIR = '../shared/vectors/sigstore-bundles';
/** Of the cases without one of their own. */
export const IDENTITY =
  'https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main';
const ISSUER = 'https://token.actions.githubusercontent.com';

/** The folder `name` of the published test data, where TEST_VECTORS names it. */
export function vectorFolder(name: string): string | undefined {
  const folder = process.env.TEST_VECTORS;
  return folder === undefined ? undefined : join(folder, name);
}

export interface BundleCase {
  readonly name: string;
  /** Its name says that it must be refused. */
  readonly refused: boolean;
  readonly bundle: Uint8Array;
  readonly artifact: Uint8Array;
  readonly trustedRoot: Uint8Array;
  /** PEM of the key that it must be signed with; undefined where a certificate must name `identity` and `issuer`. */
  readonly key: string | undefined;
  readonly identity: string;
  readonly issuer: string;
}

/** All of them; none where the folder is absent. */
export function bundleCases(): BundleCase[] {
  if (!existsSync(DIR)) return [];
  return readdirSync(DIR, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => caseOf(name));
}

function caseOf(name: string): BundleCase {
  const own = (file: string) => {
    const path = join(DIR, name, file);
    return existsSync(path) ? readFileSync(path) : undefined;
  };
  return {
    name,
    refused: name.endsWith('_fail'),
    bundle: own('bundle.sigstore.json')!,
    artifact: own('artifact') ?? readFileSync(join(DIR, 'a.txt')),
    trustedRoot: own('trusted_root.json') ?? readFileSync(join(DIR, 'trusted_root.json')),
    key: own('key.pub')?.toString(),
    identity: own('identity')?.toString().trim() ?? IDENTITY,
    issuer: own('issuer')?.toString().trim() ?? ISSUER,
  };
}
