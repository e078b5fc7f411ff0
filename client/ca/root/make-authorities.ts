/** Makes roots, and the authorities of teams below them. */
import { equal } from '../../../merkle/bytes.ts';
import type { Signer } from '../../../merkle/runtime/keys/types.ts';
import { type Certificate, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { ClientError } from '../../errors.ts';
import { intermediateProfile, rootProfile } from '../certificates/extensions.ts';
import { makeCertificate, newSerial } from '../certificates/make-certificate.ts';
import { checkSubtrees, overlapOf, subtreesOf } from '../certificates/teams.ts';
import type { NameSubtrees, NewCertificate } from '../certificates/types.ts';
import type { CaStore } from './ca-store.ts';
import { type Delegation, signDelegation } from './delegation.ts';

interface RootWish {
  readonly subject: NewCertificate['subject'];
  /** In ms: how long the root counts from now on. */
  readonly expires: number;
}

/** @returns DER @throws ClientError `usage`, `key`; errors of the signer */
export async function makeRootCertificate(
  signer: Signer,
  { subject, expires }: RootWish,
  now: number,
): Promise<Uint8Array> {
  checkRootKey(signer);
  const notBefore = secondsOf(now);
  return await makeCertificate({
    subject,
    publicKey: signer.publicKey,
    issuer: { signer },
    serial: newSerial(),
    notBefore,
    notAfter: notBefore + expires,
    extensions: rootProfile(),
  });
}

/** The same key signs delegations, which logs and other verifiers take by ECDSA. */
function checkRootKey({ algorithm }: Signer): void {
  if (algorithm === 'ecdsa-p256') return;
  throw new ClientError('key', 'the key of a root is ECDSA P-256, which every token and every verifier takes');
}

export interface TeamWish {
  readonly team: string;
  /** Of the request: SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  readonly names: NameSubtrees;
  /** In ms: how long the authority counts from now on; at most as long as the root. */
  readonly expires: number;
  /** Whether the team may have an authority with another key already. */
  readonly renew: boolean;
}

/**
 * Certifies and delegates the authority of a team, and keeps both. A repeat with the same key and names gives what is there,
 * and needs no signer.
 *
 * @param open opens the key of the root, which is closed again
 * @throws ClientError `usage`, `ca`, `bad-certificate`; RuntimeError; errors of the signer
 */
export async function makeTeam(
  store: CaStore,
  wish: TeamWish,
  open: <T>(work: (signer: Signer) => Promise<T>) => Promise<T>,
  now: number,
): Promise<{ readonly delegation: Delegation; readonly isNew: boolean }> {
  checkSubtrees(wish.names);
  return await store.locked(async () => {
    const root = await store.root();
    const all = await store.delegations(root);
    if (equal(wish.publicKey, root.spki)) throw new ClientError('ca', 'the request is for the key of the root itself');
    const known = knownTeam(all, wish);
    if (known !== undefined) {
      await store.keep(known, root);
      return { delegation: known, isNew: false };
    }
    refuseOverlaps(all, wish);
    return await open(async (signer) => {
      if (!equal(signer.publicKey, root.spki))
        throw new ClientError('ca', `the key is not that of the root in ${store.dir}`);
      const number = (all.get(wish.team)?.length ?? 0) + 1;
      const authority = await certify(wish, { certificate: root, signer }, now);
      const delegation = { team: wish.team, number, authority };
      await store.keep(delegation, root, await signDelegation(delegation, root, signer));
      return { delegation, isNew: true };
    });
  });
}

async function certify(
  { team, publicKey, names, expires }: TeamWish,
  root: { readonly certificate: Certificate; readonly signer: Signer },
  now: number,
): Promise<Certificate> {
  const notBefore = secondsOf(now);
  const der = await makeCertificate({
    subject: { commonName: team },
    publicKey,
    issuer: root,
    serial: newSerial(),
    notBefore,
    notAfter: Math.min(notBefore + expires, root.certificate.notAfter),
    extensions: intermediateProfile(names),
  });
  return parseCertificate(der);
}

/** The delegation for this key. @throws ClientError `ca` where the key is another's, or the team has another key */
function knownTeam(
  all: ReadonlyMap<string, readonly Delegation[]>,
  { team, publicKey, names, renew }: TeamWish,
): Delegation | undefined {
  for (const one of [...all.values()].flat()) {
    if (!equal(one.authority.spki, publicKey)) continue;
    if (one.team !== team) throw new ClientError('ca', `the key of the request is that of the team "${one.team}"`);
    if (JSON.stringify(sorted(subtreesOf(one.authority))) === JSON.stringify(sorted(names))) return one;
    throw new ClientError(
      'ca',
      `"${team}" has this key for other names already: make a new key, and renew the team with it`,
    );
  }
  if (all.has(team) && !renew) {
    const why = `"${team}" has an authority with another key: --renew makes its next one, beside it`;
    throw new ClientError('ca', why);
  }
  return undefined;
}

function sorted({ uri, dns, email }: NameSubtrees): NameSubtrees {
  return { uri: [...uri].sort(), dns: [...dns].sort(), email: [...email].sort() };
}

/** @throws ClientError `ca` */
function refuseOverlaps(all: ReadonlyMap<string, readonly Delegation[]>, { team, names }: TeamWish): void {
  for (const other of [...all.values()].flat()) {
    const overlap = other.team === team ? undefined : overlapOf(names, subtreesOf(other.authority));
    if (overlap === undefined) continue;
    const [own, others] = overlap;
    const what = own === others ? `${own} is of` : `${own} and ${others} lie one below the other, and the latter is of`;
    throw new ClientError('ca', `${what} the team "${other.team}" already: a team is a trust domain of its own`);
  }
}

/** Certificates have whole seconds, and begin in none to come. */
function secondsOf(now: number): number {
  return Math.floor(now / 1000) * 1000;
}
