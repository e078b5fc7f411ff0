/** Leaves: certificates of minutes, each with one name, the extensions of Fulcio and one signed certificate timestamp. */
import { type KeyObject, X509Certificate } from 'node:crypto';
import { encodeHex, encodeUtf8, equal } from '../../merkle/bytes.ts';
import { parseSpki } from '../../merkle/rekor/spki.ts';
import { sha256 } from '../../merkle/rfc6962.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import type { Signer } from '../../merkle/runtime/keys/types.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type Certificate, parseCertificate } from '../../merkle/x509/certificate.ts';
import { verifyChain } from '../../merkle/x509/certificate-chain.ts';
import { encodeDer, parseDer, TAG } from '../../merkle/x509/der.ts';
import { FULCIO_ARC, identityOf, LAST_RAW_EXTENSION } from '../../merkle/x509/fulcio.ts';
import { type CtLog, verifySct } from '../../merkle/x509/sct.ts';
import { ClientError } from '../errors.ts';
import { withClientErrors } from '../merkle-errors.ts';
import { CaError } from './ca-errors.ts';
import { authorityKeyId, leafProfile, subjectKeyId } from './certificates/extensions.ts';
import { newSerial } from './certificates/make-certificate.ts';
import type { NewExtension } from './certificates/types.ts';
import { embeddedSct } from './embedded-sct.ts';
import type { Team } from './issuing-teams.ts';
import { extensionDer, LEAF_SIGNATURE, leafTbs } from './leaf-tbs.ts';
import type { LeafIdentity } from './types.ts';

interface LeafOptions {
  readonly team: Pick<Team, 'name' | 'chain' | 'signer'>;
  /** Signs the timestamp: ECDSA P-256. */
  readonly ct: Signer;
  readonly identity: LeafIdentity;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly lifetimeMs: number;
}

/**
 * Makes a leaf, and verifies its chain to the root and its timestamp as a verifier will. Nothing has left the process then.
 * @throws CaError `authority-expired`, `key-unavailable`; ClientError `bad-certificate`
 */
export async function makeLeaf({ team, ct, identity, publicKey, now, lifetimeMs }: LeafOptions): Promise<Certificate> {
  const [issuer] = team.chain as [Certificate, ...Certificate[]];
  const notBefore = Math.floor(now / 1000) * 1000;
  const notAfter = notBefore + lifetimeMs;
  if (team.chain.some((one) => one.notBefore > notBefore || one.notAfter < notAfter)) {
    throw new CaError(
      'authority-expired',
      `the authority of the team ${team.name} is not valid for as long as this certificate would be: its operator must renew it`,
    );
  }
  const serial = newSerial();
  const extensions = [
    ...leafProfile(identity.name),
    ...fulcioExtensions(identity),
    subjectKeyId(keyIdOf(publicKey)),
    authorityKeyId(issuer.subjectKeyId ?? keyIdOf(issuer.spki)),
  ];
  const { algorithm } = team.signer;
  const tbsOf = leafTbs({ serial, algorithm, issuer: issuer.subjectDer, notBefore, notAfter, publicKey });
  const written = extensions.map(extensionDer);
  try {
    const timestamp = await embeddedSct(tbsOf(written), { signer: ct, time: now, issuer: issuer.spki });
    const sct = { ...timestamp, critical: false };
    const all = [...extensions, sct];
    const tbs = tbsOf([...written, extensionDer(sct)]);
    const signature = encodeDer(TAG.bitString, Uint8Array.of(0), await team.signer.sign(tbs));
    const der = encodeDer(TAG.sequence, tbs, LEAF_SIGNATURE[algorithm], signature);
    return withClientErrors(() =>
      verified(der, { issuer, ct, serial, extensions: all, publicKey, notBefore, notAfter }),
    );
  } catch (cause) {
    if (!(cause instanceof RuntimeError)) throw cause;
    throw new CaError('key-unavailable', 'a key of the authority does not sign now: try again later', {}, { cause });
  }
}

interface Wanted {
  readonly issuer: Certificate;
  readonly ct: Signer;
  readonly serial: Uint8Array;
  readonly extensions: readonly NewExtension[];
  readonly publicKey: Uint8Array;
  readonly notBefore: number;
  readonly notAfter: number;
}

/**
 * Reads the certificate with Stele's parser and with Node's: both must find in it what was wanted, signed by the issuer. The
 * signers are not checked ones: a wrong signature is found here.
 */
function verified(der: Uint8Array, wanted: Wanted): Certificate {
  const { issuer, ct, serial, extensions, publicKey, notBefore, notAfter } = wanted;
  const leaf = parseCertificate(der);
  const isSame =
    leaf.serialNumber === encodeHex(serial) &&
    equal(leaf.spki, publicKey) &&
    leaf.notBefore === notBefore &&
    leaf.notAfter === notAfter &&
    !leaf.isCa &&
    leaf.names.length === 1 &&
    leaf.extensions.size === extensions.length &&
    extensions.every(({ oid, critical, value }) => {
      const found = leaf.extension(oid);
      return found?.critical === critical && equal(found.value, value);
    });
  const [node, above] = [new X509Certificate(der), byNode(issuer)];
  if (!isSame || !node.checkIssued(above.certificate) || !node.verify(above.publicKey)) {
    throw new ClientError('bad-certificate', 'no certificate leaves: it does not hold what it was to hold');
  }
  // The chain above is checked when the team is opened, and its times by the caller of this function.
  verifyChain(leaf, { intermediates: [], roots: [issuer] }, notBefore, nodePrimitives());
  verifySct(leaf, issuer, [ctLogOf(ct)], nodePrimitives());
  // A log takes no certificate whose identity verifiers cannot read.
  identityOf(leaf);
  return leaf;
}

const parsedByNode = new WeakMap<
  Certificate,
  { readonly certificate: X509Certificate; readonly publicKey: KeyObject }
>();

/** Reading a certificate and its key takes as long as a signature check. */
function byNode(certificate: Certificate) {
  let parsed = parsedByNode.get(certificate);
  if (parsed === undefined) {
    const own = new X509Certificate(certificate.der);
    parsed = { certificate: own, publicKey: own.publicKey };
    parsedByNode.set(certificate, parsed);
  }
  return parsed;
}

/** The leftmost 20 bytes of the SHA-256 over the bits of a key: RFC 7093 section 2, method 1. */
function keyIdOf(publicKey: Uint8Array): Uint8Array {
  return sha256(parseDer(publicKey, 'the public key').children[1]!.content.subarray(1)).slice(0, 20);
}

const ctLogs = new WeakMap<Signer, CtLog>();

function ctLogOf(signer: Signer): CtLog {
  let log = ctLogs.get(signer);
  if (log === undefined) {
    const { publicKey } = signer;
    log = { logId: sha256(publicKey), key: parseSpki(publicKey), validFor: { start: 0 } };
    ctLogs.set(signer, log);
  }
  return log;
}

function fulcioExtensions({ extensions }: LeafIdentity) {
  return [...extensions].map(([oid, text]) => {
    const isRaw = Number(oid.slice(FULCIO_ARC.length)) <= LAST_RAW_EXTENSION;
    const value = isRaw ? encodeUtf8(text) : encodeDer(TAG.utf8, encodeUtf8(text));
    return { oid, critical: false, value };
  });
}
