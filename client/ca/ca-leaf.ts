/** Leaves: certificates of minutes, each with one name, the extensions of Fulcio and one signed certificate timestamp. */
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { parseSpki } from '../../merkle/rekor/spki.ts';
import { sha256 } from '../../merkle/rfc6962.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import type { Signer } from '../../merkle/runtime/keys/types.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type Certificate, parseCertificate } from '../../merkle/x509/certificate.ts';
import { verifyChain } from '../../merkle/x509/certificate-chain.ts';
import { encodeDer, TAG } from '../../merkle/x509/der.ts';
import { FULCIO_ARC, LAST_RAW_EXTENSION } from '../../merkle/x509/fulcio.ts';
import { type CtLog, verifySct } from '../../merkle/x509/sct.ts';
import { withClientErrors } from '../merkle-errors.ts';
import { CaError } from './ca-errors.ts';
import { leafProfile } from './certificates/extensions.ts';
import { makeCertificate, newSerial } from './certificates/make-certificate.ts';
import { embeddedSct } from './embedded-sct.ts';
import type { Team } from './issuing-teams.ts';
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
  const [issuer, ...above] = team.chain as [Certificate, ...Certificate[]];
  const notBefore = Math.floor(now / 1000) * 1000;
  const notAfter = notBefore + lifetimeMs;
  if (team.chain.some((one) => one.notBefore > notBefore || one.notAfter < notAfter)) {
    throw new CaError(
      'authority-expired',
      `the authority of the team ${team.name} is not valid for as long as this certificate would be: its operator must renew it`,
    );
  }
  try {
    const der = await makeCertificate({
      subject: {},
      publicKey,
      issuer: { certificate: issuer, signer: team.signer },
      serial: newSerial(),
      notBefore,
      notAfter,
      extensions: [...leafProfile(identity.name), ...fulcioExtensions(identity)],
      timestamps: (tbs) => embeddedSct(tbs, { signer: ct, time: now, issuer: issuer.spki }),
    });
    return withClientErrors(() => verified(parseCertificate(der), issuer, above, ct, notBefore));
  } catch (cause) {
    if (!(cause instanceof RuntimeError)) throw cause;
    throw new CaError('key-unavailable', 'a key of the authority does not sign now: try again later', {}, { cause });
  }
}

function verified(
  leaf: Certificate,
  issuer: Certificate,
  above: readonly Certificate[],
  ct: Signer,
  time: number,
): Certificate {
  const intermediates = [issuer, ...above.slice(0, -1)];
  verifyChain(leaf, { intermediates, roots: above.slice(-1) }, time, nodePrimitives());
  verifySct(leaf, issuer, [ctLogOf(ct)], nodePrimitives());
  return leaf;
}

function ctLogOf({ publicKey }: Signer): CtLog {
  return { logId: sha256(publicKey), key: parseSpki(publicKey), validFor: { start: 0 } };
}

function fulcioExtensions({ extensions }: LeafIdentity) {
  return [...extensions].map(([oid, text]) => {
    const isRaw = Number(oid.slice(FULCIO_ARC.length)) <= LAST_RAW_EXTENSION;
    const value = isRaw ? encodeUtf8(text) : encodeDer(TAG.utf8, encodeUtf8(text));
    return { oid, critical: false, value };
  });
}
