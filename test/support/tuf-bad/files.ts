/** Targets that are not what the signed metadata say, and delegated roles. */
import { type Odd, renamed, sha256Hex, type TufMaker, targetPath } from '../tuf-maker.ts';
import {
  type BadForm,
  DELEGATED_TARGET,
  type Doc,
  EVIL,
  odd,
  publishEvil,
  TARGET,
  thief,
  trustedRootTarget,
} from './base.ts';

const evilFile = (maker: TufMaker, name = TARGET): string =>
  [...maker.files].filter(
    ([path, bytes]) => path.endsWith(`.${name.split('/').at(-1)}`) && String(bytes).includes(EVIL),
  )[0]![0];

function spoilTarget(change: (bytes: Buffer) => Uint8Array | undefined, name?: string): BadForm['spoil'] {
  return (maker) => {
    publishEvil(maker);
    const path = evilFile(maker, name);
    const changed = change(Buffer.from(maker.files.get(path)!));
    if (changed === undefined) maker.files.delete(path);
    else maker.files.set(path, changed);
  };
}

/** The signed metadata are right, and name the evil target; so what is served must not be taken. */
export const FILES: BadForm[] = [
  {
    name: 'another file of the same length (arbitrary file)',
    code: 'tuf-mismatch',
    spoil: spoilTarget((bytes) => {
      bytes[bytes.length - 2]! ^= 1;
      return bytes;
    }),
  },
  {
    name: 'a longer file',
    code: 'tuf-mismatch',
    spoil: spoilTarget((bytes) => Buffer.concat([bytes, Buffer.from('\n')])),
  },
  { name: 'a shorter file', code: 'tuf-mismatch', spoil: spoilTarget((bytes) => bytes.subarray(0, -1)) },
  { name: 'an empty file', code: 'tuf-mismatch', spoil: spoilTarget(() => Buffer.alloc(0)) },
  { name: 'no file', code: 'tuf-missing', spoil: spoilTarget(() => undefined) },
  {
    name: 'the file of before under the new name',
    code: 'tuf-mismatch',
    spoil: (maker, first) => {
      publishEvil(maker);
      const old = first.get(targetPath(TARGET, Buffer.from(trustedRootTarget('first'))))!;
      maker.files.set(evilFile(maker), old);
    },
  },
];

const oddTarget = (name: string, entry: (bytes: Buffer) => object): BadForm => ({
  name: `a target with ${name}`,
  code: 'tuf-malformed',
  spoil: (maker) =>
    odd(maker, 'targets', (body) => {
      (body.targets as Doc)[TARGET] = entry(Buffer.from(trustedRootTarget(EVIL)));
    }),
});

export const TARGETS: BadForm[] = [
  { ...oddTarget('no hash', ({ length }) => ({ length, hashes: {} })), ownOnly: true },
  oddTarget('a hash that is too short', ({ length }) => ({ length, hashes: { sha256: 'ff' } })),
  oddTarget('a negative length', (bytes) => ({ length: -1, hashes: { sha256: sha256Hex(bytes) } })),
  oddTarget('a length that is text', (bytes) => ({ length: `${bytes.length}`, hashes: { sha256: sha256Hex(bytes) } })),
  oddTarget('the length 2^53', (bytes) => ({ length: 2 ** 53, hashes: { sha256: sha256Hex(bytes) } })),
];

function oddDelegated(change: (maker: TufMaker) => void, how: Odd = {}): BadForm['spoil'] {
  return (maker) => {
    publishEvil(maker);
    change(maker);
    maker.writeDelegated('policies', { file: '3.policies.json', ...how });
  };
}

export const DELEGATED: BadForm[] = (
  [
    ['that an unknown key signed', 'tuf-signatures', oddDelegated(() => {}, { signers: [thief] })],
    ['that nobody signed', 'tuf-signatures', oddDelegated(() => {}, { signers: [] })],
    [
      'that have expired',
      'tuf-expired',
      oddDelegated((maker) => {
        maker.delegated.get('policies')!.body.expires = maker.expiry(-1);
      }),
    ],
    [
      'of another version than the snapshot says',
      'tuf-mismatch',
      oddDelegated((maker) => {
        maker.delegated.get('policies')!.body.version = 4;
      }),
    ],
    ['whose text is null', 'tuf-malformed', oddDelegated(() => {}, { text: () => 'null' })],
    [
      'that are not there',
      'tuf-missing',
      (maker) => {
        publishEvil(maker);
        maker.files.delete('3.policies.json');
      },
    ],
    [
      'whose role has the threshold 0',
      'tuf-malformed',
      (maker) => {
        odd(maker, 'targets', () => {
          maker.bodies.targets.delegations!.roles[0]!.threshold = 0;
        });
        maker.writeDelegated('policies', { signers: [] });
      },
    ],
    [
      'whose role has one key under two key IDs',
      'tuf-malformed',
      (maker) => {
        const [role] = maker.bodies.targets.delegations!.roles;
        const again = renamed(maker.delegated.get('policies')!.keys[0]!, sha256Hex('a second name'));
        odd(maker, 'targets', () => {
          maker.bodies.targets.delegations!.keys[again.id] = again.form;
          role!.keyids.push(again.id);
          role!.threshold = 2;
        });
        maker.writeDelegated('policies', { signers: [...maker.delegated.get('policies')!.keys, again] });
      },
    ],
  ] satisfies [string, BadForm['code'], BadForm['spoil']][]
).map(([what, code, spoil]) => ({
  name: `delegated targets ${what}`,
  code,
  spoil,
  target: DELEGATED_TARGET,
  ...(what.includes('two key IDs') && { ownOnly: true }),
}));
