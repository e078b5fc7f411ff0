/** Prints an outcome for people and for scripts. */

import { encodeBase64, encodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { DIGEST_ALGORITHM } from '../../../merkle/rekor/hashes.ts';
import type { CheckName, Outcome, VerifiedEntry, VerifiedSigner } from '../../verify/outcome.ts';
import { type CheckSentence, checkSentence, notProvenSentence, timeSentence } from './sentences.ts';

const LABELS: Readonly<Record<CheckName, string>> = {
  artifact: 'file',
  statement: 'statement',
  signature: 'signature',
  certificate: 'certificate',
  sct: 'transparency',
  identity: 'identity',
  timestamp: 'time stamp',
  promise: 'promise',
  entry: 'entry',
  inclusion: 'inclusion',
  checkpoint: 'checkpoint',
  cosignature: 'cosigned',
  quorum: 'quorum',
  'witness-time': 'time',
};
const WIDTH = 14;
export function lines(name: string, outcome: Outcome): string[] {
  const [first] = outcome.entries;
  const left = outcome.entries.flatMap(({ unverified }) => unverified);
  const signed = outcome.statement === undefined ? 'is signed' : 'has a signed attestation';
  return [
    `OK: ${printable(name)} ${signed}, and the signature is in the log ${printable(first!.origin)}`,
    '',
    'Checked:',
    ...outcome.checks.map(checkSentence).flatMap(shown),
    ...(left.length === 0 ? [] : [`  (further signatures, not checked: ${printable(left.join(', '))})`]),
    '',
    'Not proven:',
    ...outcome.notProven.map((fact) => `  ${notProvenSentence(fact)}`),
  ];
}

function shown({ name, detail, by }: CheckSentence): string[] {
  const line = `  ${LABELS[name].padEnd(WIDTH)}${detail}`;
  return by === undefined ? [line] : [line, `  ${''.padEnd(WIDTH)}by ${by}`];
}

/** Everything that a reader needs to verify again: each fact, and the key or certificate behind it. */
export function json(outcome: Outcome): object {
  const { checks, notProven, digest, signer, statement, times, entries } = outcome;
  const [first, ...more] = entries.map(entryJson);
  return {
    digest: { algorithm: DIGEST_ALGORITHM[digest.algorithm], hex: encodeHex(digest.value) },
    signer: signerJson(signer),
    ...(statement === undefined ? {} : { statement }),
    times: times.map(timeSentence),
    ...first,
    ...(more.length === 0 ? {} : { moreEntries: more }),
    checks: checks.map(checkSentence),
    notProven: notProven.map(notProvenSentence),
  };
}

function signerJson(signer: VerifiedSigner): object {
  const key = { key: signer.key.name, spkiSha256: signer.fingerprint };
  if (signer.kind === 'key') return { kind: 'key', ...key };
  const { names, issuer, extensions } = signer.identity;
  // Each extension stands here under its name and under its OID. The names are enough.
  const named = [...extensions].filter(([name]) => !/^[0-9.]+$/.test(name));
  return { kind: 'certificate', ...key, names, issuer: issuer ?? null, extensions: Object.fromEntries(named) };
}

function entryJson(entry: VerifiedEntry): object {
  const { origin, log, kind, version, index, leafHash, tree, cosigned, unverified } = entry;
  return {
    log: { origin, verifierKey: log },
    kind: `${kind} ${version}`,
    index,
    leafHash: encodeBase64(leafHash),
    ...(tree === undefined
      ? {}
      : {
          treeSize: tree.size,
          root: encodeBase64(tree.root),
          hashes: tree.hashes.map(encodeBase64),
          checkpoint: tree.checkpoint,
        }),
    cosignatures: cosigned,
    unverifiedSignatures: unverified,
  };
}
