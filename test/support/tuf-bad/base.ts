/** A good TUF repository that a client follows, and how a file of it is made odd. */
import type { ClientError } from '../../../client/errors.ts';
import { newTufKey, type Odd, sha256Hex, TufMaker, type TufPlan, type TufRole } from '../tuf-maker.ts';

/** Every client fetches this target: it is what cosign and sigstore-js look for. */
export const TARGET = 'trusted_root.json';
/** cosign looks for this one, too, and warns where it is not there. */
export const SIGNING_CONFIG = 'signing_config.v0.2.json';
/** A target of a delegated role. */
export const DELEGATED_TARGET = 'policies/admission';

/** A trusted root without logs, which the tools of Sigstore read. `mark` tells one from another. */
export function trustedRootTarget(mark: string): string {
  const log = {
    baseUrl: `https://${mark}.example.com`,
    hashAlgorithm: 'SHA2_256',
    publicKey: {
      rawBytes: 'MCowBQYDK2VwAyEAt8rlp1knGwjfbcXAYPYAkn0XiLz1x8O4t0YkEhie244=',
      keyDetails: 'PKIX_ED25519',
      validFor: { start: '2026-01-01T00:00:00Z' },
    },
    logId: { keyId: 'zxGZFVvd0FEmjR8WrFwMdcAJ9vtaY/QXf44Y1wUeP6A=' },
  };
  const type = 'application/vnd.dev.sigstore.trustedroot+json;version=0.1';
  return `${JSON.stringify({ mediaType: type, tlogs: [log] }, null, 1)}\n`;
}

/** A signing configuration without services, which the tools of Sigstore read. */
const SIGNING_CONFIG_TEXT = `${JSON.stringify({
  mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
  rekorTlogConfig: { selector: 'ANY' },
  tsaConfig: { selector: 'ANY' },
})}\n`;

/** The mark of everything that no client may take. */
export const EVIL = 'evil';

export interface Followed {
  /** Its second version is published, and its client follows that. */
  readonly maker: TufMaker;
  /** What the mirror served at the first version. */
  readonly first: ReadonlyMap<string, Uint8Array>;
}

/** A good repository of two versions, with root keys of five holders (three sign), and one delegated role. */
export function followed(plan: TufPlan = {}): Followed {
  const maker = new TufMaker(plan);
  maker.target(TARGET, trustedRootTarget('first'));
  maker.target(SIGNING_CONFIG, SIGNING_CONFIG_TEXT);
  maker.delegate('policies', ['policies/*']);
  maker.target(DELEGATED_TARGET, 'first', 'policies');
  maker.publish();
  const first = new Map(maker.files);
  maker.target(TARGET, trustedRootTarget('good'));
  maker.publish();
  return { maker, first };
}

export interface BadForm {
  readonly name: string;
  /** What Stele's client answers with. */
  readonly code: ClientError['code'];
  readonly spoil: (maker: TufMaker, first: ReadonlyMap<string, Uint8Array>) => void;
  /** The form is not for a client that has no memory of earlier versions. */
  readonly needsMemory?: true;
  /** What a client must ask for to meet the form. By default `TARGET`. */
  readonly target?: string;
  /** Other clients are not shown it: they differ in it, do not answer it, or forms of its kind are enough for them. */
  readonly ownOnly?: true;
}

export type Doc = Record<string, unknown>;
export const ROLES = ['root', 'targets', 'snapshot', 'timestamp'] as const;
export const doc = (body: object): Doc => body as Doc;

/** Puts the evil targets into the repository and publishes everything anew, signed as it should be. */
export function publishEvil(maker: TufMaker): void {
  maker.target(TARGET, trustedRootTarget(EVIL));
  maker.target(DELEGATED_TARGET, EVIL, 'policies');
  maker.publish();
}

/**
 * A next version of everything with the evil targets, in which the file of one role is odd. Snapshot and timestamp name that
 * file with its right version, length and hash, so that only the oddness itself is wrong.
 */
export function odd(maker: TufMaker, role: TufRole, change: (body: Doc) => void, how: Odd = {}): void {
  if (role === 'root') maker.bodies.root.version = 2;
  else publishEvil(maker);
  const body = maker.bodies[role];
  const { version } = body;
  change(doc(body));
  const named = role === 'root' || !(Number.isInteger(body.version) && body.version > 0) ? version : body.version;
  maker.write(role, role === 'timestamp' ? how : { file: `${named}.${role}.json`, ...how });
  if (role === 'root') publishEvil(maker);
  else nameAgain(maker, role, named);
}

/** Signs snapshot and timestamp again, where they name the file of the role. */
export function nameAgain(maker: TufMaker, role: TufRole, version: number): void {
  const { snapshot, timestamp } = maker.bodies;
  if (role === 'timestamp') return;
  if (role === 'targets') {
    snapshot.meta['targets.json']!.version = version;
    maker.write('snapshot');
  }
  const named = role === 'snapshot' ? version : snapshot.version;
  const bytes = maker.files.get(`${named}.snapshot.json`)!;
  timestamp.meta['snapshot.json'] = { version: named, length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
  maker.write('timestamp');
}

export function set(body: Doc, member: string, value: unknown): void {
  if (value === undefined) delete body[member];
  else body[member] = value;
}

/** Sets the member at a path to null. `*` stands for the first member there. */
export function nullAt(body: Doc, path: string): void {
  const names = path.split('/');
  let at = body;
  for (const name of names.slice(0, -1)) at = at[name === '*' ? Object.keys(at)[0]! : name] as Doc;
  const last = names.at(-1)!;
  at[last === '*' ? Object.keys(at)[0]! : last] = null;
}

/** Signs what nobody trusts. */
export const thief = newTufKey();
