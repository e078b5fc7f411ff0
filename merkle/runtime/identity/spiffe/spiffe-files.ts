/** Trust bundles and SVIDs in files, as agents, helpers and drivers of volumes write them. */
import { decodeUtf8 } from '../../../bytes.ts';
import { MerkleError } from '../../../errors.ts';
import { parsePem, pemBytes } from '../../../pem.ts';
import { parseTrustBundle, parseTrustBundles, type SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import { type Certificate, parseCertificate } from '../../../x509/certificate.ts';
import { readFileIfThere } from '../../disk/files.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { privateKeyOf, svidOf } from './svid-check.ts';
import type { Svid, SvidSettings } from './types.ts';

const MAX_BUNDLE_FILE = 4 * 1_048_576;
const MAX_PEM = 1_048_576;
const MAX_CHAIN = 16;

/** @throws RuntimeError `trust-bundle`, `file` */
export async function readBundleFile(path: string, trustDomain: string): Promise<SpiffeBundle> {
  const bytes = await readOrThrow(path, MAX_BUNDLE_FILE, 'trust-bundle');
  return naming(path, 'trust-bundle', () => parseTrustBundle(bytes, trustDomain));
}

/** @throws RuntimeError `trust-bundle`, `file` */
export async function readBundleMap(path: string): Promise<ReadonlyMap<string, SpiffeBundle>> {
  const bytes = await readOrThrow(path, MAX_BUNDLE_FILE, 'trust-bundle');
  return naming(path, 'trust-bundle', () => parseTrustBundles(bytes));
}

/** @throws RuntimeError `svid`, `trust-bundle`, `file` */
export async function readSvidFiles(files: NonNullable<SvidSettings['files']>, now: number): Promise<Svid> {
  const cert = await readOrThrow(files.cert, MAX_PEM, 'svid');
  const key = await readOrThrow(files.key, MAX_PEM, 'svid');
  const bundle = files.bundle;
  const trusted = bundle === undefined ? undefined : await readOrThrow(bundle, MAX_BUNDLE_FILE, 'trust-bundle');
  const chain = naming(files.cert, 'svid', () => chainOf(decodeUtf8(cert)));
  const secret = naming(files.key, 'svid', () => privateKeyOf(decodeUtf8(key)));
  return naming(files.cert, 'svid', () =>
    svidOf(chain, secret, trusted && ((trustDomain) => parseTrustBundle(trusted, trustDomain)), now),
  );
}

function chainOf(pem: string): Certificate[] {
  const blocks = parsePem(pem).filter(({ label }) => label === 'CERTIFICATE');
  if (blocks.length > MAX_CHAIN) throw new RuntimeError('svid', `a chain of more than ${MAX_CHAIN} certificates`);
  return blocks.map((block) => parseCertificate(pemBytes(block)));
}

async function readOrThrow(path: string, limit: number, code: 'svid' | 'trust-bundle'): Promise<Uint8Array> {
  const bytes = await readFileIfThere(path, limit);
  if (bytes === undefined) throw new RuntimeError(code, `the file ${path} is not there`);
  return bytes;
}

/** Puts the name of the file in front of what is wrong with it. */
function naming<T>(path: string, code: 'svid' | 'trust-bundle', work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof MerkleError) && !(error instanceof RuntimeError)) throw error;
    throw new RuntimeError(code, `${path}: ${error.message}`);
  }
}
