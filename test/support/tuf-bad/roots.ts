/** Next roots that are bad. */
import { newTufKey, type Odd, renamed, sha256Hex, type TufKey, type TufMaker } from '../tuf-maker.ts';
import { type BadForm, nameAgain, odd, publishEvil, ROLES } from './base.ts';

/** The next root with a change, signed by the holders of before, or as `how` says. */
const inRoot =
  (change: (maker: TufMaker) => void, how?: (maker: TufMaker, before: TufKey[]) => Odd) => (maker: TufMaker) => {
    const before = [...maker.keys.root];
    change(maker);
    odd(maker, 'root', () => {}, { signers: before, ...how?.(maker, before) });
  };

/** What only a root can say wrongly. Where such a root would allow it, the other files make use of it. */
export const ROOTS: BadForm[] = [
  {
    name: 'a next root that 2 of 5 holders sign where 3 are needed',
    code: 'tuf-signatures',
    spoil: inRoot(
      () => {},
      ({ keys }) => ({ signers: keys.root.slice(0, 2) }),
    ),
  },
  {
    name: 'a next root with the signature of one of two holders twice',
    code: 'tuf-malformed',
    spoil: inRoot(
      () => {},
      ({ keys }) => ({ signers: [...keys.root.slice(0, 2), keys.root[1]!] }),
    ),
  },
  {
    name: 'a next root with own keys, which no old holder signed',
    code: 'tuf-signatures',
    spoil: inRoot(
      (maker) => maker.replace('root', maker.newKeys(5)),
      ({ keys }) => ({ signers: keys.root }),
    ),
  },
  {
    name: 'a next root with three new holders, which only the old holders signed',
    code: 'tuf-signatures',
    spoil: inRoot((maker) => maker.replace('root', [...maker.keys.root.slice(0, 2), ...maker.newKeys(3)])),
  },
  {
    name: 'a next root that signs with 2 of the old holders and all new ones',
    code: 'tuf-signatures',
    spoil: inRoot(
      (maker) => maker.replace('root', [...maker.keys.root.slice(0, 2), ...maker.newKeys(3)]),
      ({ keys }) => ({ signers: keys.root }),
    ),
  },
  ...ROLES.map(
    (role): BadForm => ({
      name: `a next root with the threshold 0 for ${role}`,
      code: 'tuf-malformed',
      spoil: (maker) => {
        inRoot(({ bodies }) => {
          bodies.root.roles[role]!.threshold = 0;
        })(maker);
        if (role !== 'root') maker.write(role, { signers: [] });
        nameAgain(maker, role, maker.bodies[role].version);
      },
    }),
  ),
  ...ROLES.map(
    (role): BadForm => ({
      name: `a next root with one key of ${role} under two key IDs`,
      code: 'tuf-malformed',
      ownOnly: true,
      spoil: inRoot(
        (maker) => {
          const [first] = maker.keys[role];
          maker.replace(role, [first!, renamed(first!, sha256Hex('a second name'))], 2);
        },
        ({ keys }, before) => ({ signers: role === 'root' ? [...before, keys.root[1]!] : before }),
      ),
    }),
  ),
  {
    name: 'a next root with a key ID twice in a role',
    code: 'tuf-malformed',
    spoil: inRoot(({ bodies }) => {
      const role = bodies.root.roles.targets!;
      role.keyids = [role.keyids[0]!, role.keyids[0]!];
    }),
  },
  {
    name: 'a next root with more signatures needed than it has keys',
    code: 'tuf-malformed',
    spoil: inRoot(({ bodies }) => {
      bodies.root.roles.timestamp!.threshold = 2;
    }),
  },
  {
    name: 'a next root with a role whose key it does not have',
    code: 'tuf-malformed',
    spoil: inRoot(({ bodies }) => {
      bodies.root.roles.timestamp!.keyids = [sha256Hex('no key')];
    }),
  },
  {
    name: 'a next root without the role timestamp',
    code: 'tuf-malformed',
    spoil: inRoot(({ bodies }) => {
      delete bodies.root.roles.timestamp;
    }),
  },
  {
    name: 'a next root with a P-384 key',
    code: 'tuf-malformed',
    ownOnly: true,
    spoil: (maker) => {
      inRoot((made) => made.replace('timestamp', [newTufKey('ecdsa-p384')]))(maker);
    },
  },
  {
    name: 'a next root that repeats the version of the one before',
    code: 'tuf-rollback',
    spoil: (maker) => {
      maker.files.set('2.root.json', maker.root());
      publishEvil(maker);
      maker.files.set('timestamp.json', maker.files.get('1.root.json')!);
    },
  },
  {
    name: 'a next root that leaves a version out',
    code: 'tuf-mismatch',
    spoil: (maker) => {
      odd(maker, 'root', (body) => {
        body.version = 3;
      });
    },
  },
  {
    name: 'a next root that is targets metadata',
    code: 'tuf-malformed',
    spoil: (maker) => {
      publishEvil(maker);
      maker.files.set('2.root.json', maker.files.get('2.targets.json')!);
    },
  },
];
