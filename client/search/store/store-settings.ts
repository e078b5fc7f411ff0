/** The settings of the attestation store, a group of the configuration of `stele index`. */
import { type StaticDecode, Type } from 'typebox';
import type { DeepReadonly } from '../../../merkle/runtime/config/load.ts';
import { choice, count, duration, list, onOff, path, size, text } from '../../../merkle/runtime/config/values.ts';

const opt = Type.Optional;
/** A key, a SPIFFE ID, or an issuer with an identity that it vouches for. */
const SIGNER = /^(?:sha256:[0-9a-f]{64}|spiffe:\/\/[^\s=]+|https?:\/\/[^\s=]+=\S+)$/;
const LOG_URL = /^https?:\/\/[^\s?#@]{1,250}$/;

export const STORE_SETTINGS = Type.Object({
  enabled: onOff({
    description:
      'Keep attestations beside the index: bundles that are submitted through it or imported. The store is a convenience, and no promise of the log.',
    default: false,
    danger: 'It serves to everybody what statements say, of which the log has only hashes.',
  }),
  submissions: opt(
    onOff({
      description: 'Take attestations from those who reach the public port. With `false` only the operator imports.',
      defaultText: 'true where `signers` names signers, and false otherwise',
      danger:
        'With `true` and no `signers`, anybody with a key can fill what is kept about an artifact: the real attestation is refused then, and those who decide by the store deny.',
    }),
  ),
  signers: list((item) => SIGNER.test(item), 'sha256:HEX of keys, ISSUER=IDENTITY, or SPIFFE IDs', {
    description:
      'Only pieces of these signers are kept: the SHA-256 of the SubjectPublicKeyInfo, or an issuer and an identity that `store.trustedRoot` vouches for. Empty takes all.',
    default: [],
  }),
  trustedRoot: opt(
    path({
      description:
        'A `trusted_root.json` beside the logs of the index: its logs count too, and its authorities vouch for identities.',
      defaultText: 'none: of a certificate only the key counts',
    }),
  ),
  log: opt(
    text(LOG_URL, 'an http(s) URL without user name, query and fragment', {
      description: 'The log that gets the signatures of envelopes. It must be one of the logs that are trusted here.',
      defaultText: 'none: envelopes are refused, and bundles must be logged already',
    }),
  ),
  maxPieceBytes: size('16KiB', '16MiB', { description: 'Longest piece; a longer one is refused.', default: '4MiB' }),
  maxBytes: size('1MiB', '1024GiB', { description: 'Bytes of all pieces together.', default: '10GiB' }),
  maxPieces: count('pieces', 1, 100_000_000, { description: 'Pieces, all together.', default: 1_000_000 }),
  perSubject: count('pieces', 1, 1_000_000, {
    description: 'Pieces about one subject; imports of the operator do not mind it.',
    default: 1000,
  }),
  perSigner: count('pieces', 1, 100_000_000, {
    description: 'Pieces of one signer; imports of the operator do not mind it.',
    default: 100_000,
  }),
  whenFull: choice(['refuse', 'forget-oldest'], {
    description: 'What happens to a new piece when the store is full.',
    default: 'refuse',
    danger: 'With `forget-oldest`, a flood of new pieces drives the old ones out.',
  }),
  retention: opt(
    duration('1s', '876000h', {
      description: 'Pieces that came longer ago are forgotten.',
      defaultText: 'none: pieces stay',
    }),
  ),
  perMinute: count('submissions', 1, 1_000_000, {
    description: 'Submissions of one address in a minute; further ones get 429.',
    default: 60,
  }),
  underWay: count('submissions', 1, 1000, {
    description: 'Submissions at one time; further ones get 503.',
    default: 16,
  }),
});

export type StoreSettings = DeepReadonly<StaticDecode<typeof STORE_SETTINGS>>;

/** Whether strangers may submit. A store that is open to all signers can be filled by any of them, so it is open only where that is written. */
export function takesSubmissions({ submissions, signers }: Pick<StoreSettings, 'submissions' | 'signers'>): boolean {
  return submissions ?? signers.length > 0;
}
