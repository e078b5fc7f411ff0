/** Leaves: what is made is read again before it leaves, since the keys of the authority do not check their own signatures. */
import { expect, it } from 'vitest';
import { makeLeaf } from '../../../client/ca/ca-leaf.ts';
import { newKey } from '../../../merkle/runtime/keys/keyfile.ts';
import type { KeyAlgorithm, Signer } from '../../../merkle/runtime/keys/types.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { newTestRoot } from '../../support/ca.ts';
import { newP256 } from '../../support/ca-service.ts';

const NAMES = { uri: [], dns: [], email: ['example.com'] };

async function leafWith(
  changed: (signers: { team: Signer; ct: Signer }) => Partial<{ team: Signer; ct: Signer }> = () => ({}),
  algorithm: KeyAlgorithm = 'ecdsa-p256',
) {
  const root = await newTestRoot();
  const made = await root.team('ci', NAMES, { algorithm });
  const signers = { team: made.signer, ct: newKey('ecdsa-p256').signer };
  const { team, ct } = { ...signers, ...changed(signers) };
  return await makeLeaf({
    team: { name: 'ci', chain: [made.certificate, root.certificate], signer: team },
    ct,
    identity: { name: { type: 'email', value: 'release@example.com' }, extensions: new Map() },
    publicKey: newP256().publicKey.export({ type: 'spki', format: 'der' }),
    now: Date.now(),
    lifetimeMs: 600_000,
  });
}

/** A key that gives the signatures of another, or changed ones, under its own name. */
const signingBy = (signer: Signer, sign: Signer['sign']): Signer => ({ ...signer, sign });
const flipped = (signer: Signer) =>
  signingBy(signer, async (message) => {
    const signature = Uint8Array.from(await signer.sign(message));
    signature[signature.length - 1]! ^= 1;
    return signature;
  });

it('are made by a key of each algorithm', async () => {
  for (const algorithm of ['ecdsa-p256', 'ed25519'] as const) {
    const leaf = await leafWith(undefined, algorithm);
    expect(leaf.names).toEqual([{ type: 'email', value: 'release@example.com' }]);
  }
});

it.each([
  ['a flipped bit', flipped],
  ['the signature of another key', (signer: Signer) => signingBy(signer, newKey('ecdsa-p256').signer.sign)],
  ['no signature', (signer: Signer) => signingBy(signer, async () => new Uint8Array())],
  ['a signature over something else', (signer: Signer) => signingBy(signer, () => signer.sign(new Uint8Array(8)))],
])('do not leave where a key gives %s', async (_, wrong) => {
  await expect(leafWith(({ team }) => ({ team: wrong(team) }))).rejects.toMatchObject({ code: 'bad-certificate' });
  await expect(leafWith(({ ct }) => ({ ct: wrong(ct) }))).rejects.toMatchObject({ code: 'bad-sct' });
});

it('are not made where a key does not sign now', async () => {
  const away = (signer: Signer) =>
    signingBy(signer, () => Promise.reject(new RuntimeError('pkcs11-unavailable', 'the token is away')));
  await expect(leafWith(({ team }) => ({ team: away(team) }))).rejects.toMatchObject({ code: 'key-unavailable' });
  await expect(leafWith(({ ct }) => ({ ct: away(ct) }))).rejects.toMatchObject({ code: 'key-unavailable' });
});
