/** `stele verify --tlog-proof`: c2sp.org/tlog-proof files of `stele sign`, or of any other log. */
import { basename } from 'node:path';
import { encodeBase64, encodeHex, encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatVerifierKey } from '../../../merkle/note.ts';
import type { Policy } from '../../../merkle/policy.ts';
import { printable } from '../../../merkle/printable.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { MAX_TLOG_PROOF } from '../../../merkle/tlog-proof.ts';
import type { CertificateIdentity } from '../../../merkle/x509/fulcio.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError, usage } from '../../errors.ts';
import { counted } from '../../formats/counted.ts';
import { parseTrustPolicy } from '../../trust/quorum.ts';
import { namesSentence, notProvenSentence, rootSentence } from '../../verify/sentences.ts';
import { checkProofUnderRoots, checkTlogProof, entryDigest, type VerifiedProof } from '../../verify/tlog-proof.ts';
import { digestsOf } from '../digests.ts';
import { readWhole } from '../files.ts';
import { inputName } from '../input.ts';
import { print } from '../report.ts';
import { parseLeafHash, type RequestedSigner, type VerifyOptions } from './arguments.ts';
import type { Artifact } from './artifacts.ts';
import { presentTime, sctWish } from './demands.ts';
import { readSigner, readVerifyTrust, type VerifyTrust } from './verify-trust.ts';

const NO_WITNESS = 'that the log shows everybody the same tree: no quorum of witnesses was asked for (give --policy)';

/** @throws ClientError */
export async function verifyProof(
  { name: file, proof: path, digests: given }: Artifact,
  signer: RequestedSigner,
  options: VerifyOptions,
  primitives: Primitives,
  signal: AbortSignal,
): Promise<void> {
  const now = presentTime(options);
  const { policy, lastCheckpoints, ...trust } = await readProofTrust(options);
  const read = await readSigner(signer, trust);
  const proof = await readWhole(path, MAX_TLOG_PROOF, 'a proof');
  const hash = entryDigest(proof);
  const digests = given ?? (await digestsOf(file, [hash], signal, primitives.hash)).digests;
  const asked = { proof, policy, lastCheckpoints, digests, now };
  const verified =
    'key' in read
      ? checkTlogProof({ ...asked, signer: { key: read.key.spki } }, primitives)
      : checkProofUnderRoots({ ...asked, signer: { ...read, ...sctWish(options) } }, primitives);
  const { publicKey, identity, matched, time, notProven: ofSigner } = verified.signer!;
  const fingerprint = encodeHex(primitives.hash('sha256', publicKey.spki));
  const digest = digests[hash]!;
  const notProven = [
    ...(given === undefined ? [] : [notProvenSentence({ name: 'file' })]),
    ...('key' in read ? [notProvenSentence({ name: 'key-holder' }), notProvenSentence({ name: 'time' })] : []),
    ...ofSigner.map(notProvenSentence),
    ...(policy.quorum === undefined ? [NO_WITNESS] : []),
  ];
  const result = {
    file,
    tlogProof: path,
    digest: { algorithm: publicKey.digest, hex: encodeHex(digest) },
    signer: {
      kind: identity === undefined ? 'key' : 'certificate',
      key: publicKey.name,
      spkiSha256: fingerprint,
      ...(identity === undefined ? {} : { names: identity.names, matched, ...voucherJson(identity) }),
    },
    times: time === undefined ? [] : [{ kind: 'witness', time: timeText(time), by: "the policy's quorum" }],
    ...(verified.trustedRoot === undefined ? {} : { trustedRoot: verified.trustedRoot }),
    ...json(verified),
    notProven,
  };
  print(options.json, result, [
    `OK: ${printable(basename(inputName(file)))} is signed, and the signature is in the log ${printable(verified.origin)}`,
    '',
    'Checked:',
    ...(verified.trustedRoot === undefined ? [] : [`  trusted root  ${rootSentence(verified.trustedRoot)}`]),
    `  file          ${hash} ${encodeHex(digest)}`,
    `  signature     ${publicKey.name}, by the key with SHA-256 ${fingerprint}`,
    ...(identity === undefined || time === undefined
      ? []
      : [
          `  identity      ${namesSentence(identity.names, matched)}`,
          `                by ${printable(voucherOf(identity))}; the certificate was valid at ${timeText(time)}`,
        ]),
    '  entry         the one in the proof: it is about exactly this file, signature and key',
    ...shown(verified),
    '',
    'Not proven:',
    ...notProven.map((line) => `  ${line}`),
  ]);
}

function voucherOf({ issuer, svid }: CertificateIdentity): string {
  return svid === undefined ? (issuer ?? 'nobody') : `the SPIFFE bundle of ${svid.trustDomain}`;
}

function voucherJson({ issuer, svid }: CertificateIdentity): object {
  const own = svid === undefined ? {} : { spiffeId: svid.text, trustDomain: svid.trustDomain };
  return { ...own, issuer: issuer ?? null };
}

/** Verifies that a leaf is in any log. @throws ClientError */
export async function verifyLeafHash(options: VerifyOptions, primitives: Primitives): Promise<void> {
  const leafHash = parseLeafHash(options.leafHash!);
  const { policy, lastCheckpoints } = await readProofTrust(options);
  const proof = await readWhole(options.tlogProof!, MAX_TLOG_PROOF, 'a proof');
  const verified = checkTlogProof({ proof, policy, lastCheckpoints, leafHash, now: presentTime(options) }, primitives);
  const notProven = [
    'what the entry says, or who made it: only its hash was given',
    ...(policy.quorum === undefined ? [NO_WITNESS] : []),
  ];
  print(options.json, { tlogProof: options.tlogProof, ...json(verified), notProven }, [
    `OK: the leaf is in the log ${printable(verified.origin)}`,
    '',
    'Checked:',
    ...shown(verified),
    '',
    'Not proven:',
    ...notProven.map((line) => `  ${line}`),
  ]);
}

async function readProofTrust(options: VerifyOptions): Promise<Omit<VerifyTrust, 'logKey'> & { policy: Policy }> {
  const { policy, logKey, ...trust } = await readVerifyTrust(options);
  if (policy === undefined) {
    if (logKey === undefined) throw usage('say which log you trust: --log-key, or --policy with witnesses as well');
    const alone = parseTrustPolicy(encodeUtf8(`log ${formatVerifierKey(logKey)}\nquorum none\n`));
    return { policy: alone, ...trust };
  }
  if (logKey === undefined) return { policy, ...trust };
  // Policy and key must both hold: only the policy's log with this key counts.
  const vkey = formatVerifierKey(logKey);
  const logs = policy.logs.filter(({ key }) => formatVerifierKey(key) === vkey);
  if (logs.length === 0) throw new ClientError('policy', 'the policy does not have the log whose key was given');
  return { policy: { ...policy, logs }, ...trust };
}

function shown({ index, treeSize, hashes, leafHash, root, logKey, cosigned, unverified }: VerifiedProof): string[] {
  return [
    `  inclusion     entry ${index} of ${treeSize}, by ${counted(hashes.length, 'hash', 'hashes')} from the leaf ${encodeBase64(leafHash)}`,
    `                to the root ${encodeBase64(root)}`,
    `  checkpoint    signed by ${formatVerifierKey(logKey)}`,
    ...cosigned.map(
      ({ verifierKey, timestamp }) => `  cosigned      witnessed at ${timeText(timestamp * 1000)} by ${verifierKey}`,
    ),
    ...(cosigned.length === 0 ? [] : ['  quorum        of the policy is met']),
    ...(unverified.length === 0 ? [] : [`  (further signatures, not checked: ${printable(unverified.join(', '))})`]),
  ];
}

function json({
  origin,
  logKey,
  index,
  treeSize,
  root,
  leafHash,
  hashes,
  checkpoint,
  cosigned,
  unverified,
}: VerifiedProof) {
  return {
    log: { origin, verifierKey: formatVerifierKey(logKey) },
    index,
    treeSize,
    root: encodeBase64(root),
    leafHash: encodeBase64(leafHash),
    hashes: hashes.map(encodeBase64),
    checkpoint,
    cosignatures: cosigned,
    unverifiedSignatures: unverified,
  };
}
