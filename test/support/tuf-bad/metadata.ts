/** Timestamp, snapshot and targets that do not belong together, are too old, or are signed by others. */
import { sha256Hex } from '../tuf-maker.ts';
import { type BadForm, DELEGATED_TARGET, type Doc, nameAgain, odd, publishEvil } from './base.ts';

export const META: BadForm[] = [
  {
    name: 'the timestamp of before (rollback)',
    code: 'tuf-rollback',
    needsMemory: true,
    spoil: (maker, first) => {
      maker.files.set('timestamp.json', first.get('timestamp.json')!);
    },
  },
  {
    name: 'a newer timestamp that names the snapshot of before (rollback)',
    code: 'tuf-rollback',
    needsMemory: true,
    spoil: (maker, first) => {
      const { timestamp } = maker.bodies;
      const old = first.get('1.snapshot.json')!;
      timestamp.version += 1;
      timestamp.meta['snapshot.json'] = { version: 1, length: old.length, hashes: { sha256: sha256Hex(old) } };
      maker.write('timestamp');
    },
  },
  {
    name: 'a newer snapshot that names the targets of before (rollback)',
    code: 'tuf-rollback',
    needsMemory: true,
    spoil: (maker) =>
      odd(maker, 'snapshot', (body) => {
        (body.meta as Record<string, Doc>)['targets.json']!.version = 1;
      }),
  },
  {
    name: 'a newer snapshot that names the delegated targets of before (rollback)',
    code: 'tuf-rollback',
    needsMemory: true,
    target: DELEGATED_TARGET,
    spoil: (maker) =>
      odd(maker, 'snapshot', (body) => {
        (body.meta as Record<string, Doc>)['policies.json']!.version = 1;
      }),
  },
  {
    name: 'a newer snapshot that names a delegated role no more',
    code: 'tuf-rollback',
    needsMemory: true,
    spoil: (maker) =>
      odd(maker, 'snapshot', (body) => {
        delete (body.meta as Doc)['policies.json'];
      }),
  },
  {
    name: 'a snapshot without targets.json',
    code: 'tuf-malformed',
    spoil: (maker) =>
      odd(maker, 'snapshot', (body) => {
        body.meta = {};
      }),
  },
  {
    name: 'a timestamp without snapshot.json',
    code: 'tuf-malformed',
    ownOnly: true,
    spoil: (maker) =>
      odd(maker, 'timestamp', (body) => {
        body.meta = {};
      }),
  },
  ...(['snapshot', 'targets'] as const).map(
    (role): BadForm => ({
      name: `${role} of before under the new name (mix-and-match)`,
      code: 'tuf-mismatch',
      spoil: (maker) => {
        publishEvil(maker);
        maker.files.set(`3.${role}.json`, maker.files.get(`2.${role}.json`)!);
      },
    }),
  ),
  {
    name: 'another snapshot of the same version than the timestamp names (mix-and-match)',
    code: 'tuf-mismatch',
    spoil: (maker) => {
      publishEvil(maker);
      maker.bodies.snapshot.expires = maker.expiry(8);
      maker.write('snapshot');
    },
  },
  {
    name: 'a snapshot of another version than the timestamp says',
    code: 'tuf-mismatch',
    spoil: (maker) => {
      publishEvil(maker);
      maker.bodies.snapshot.version = 4;
      maker.write('snapshot', { file: '3.snapshot.json' });
      nameAgain(maker, 'snapshot', 3);
    },
  },
  {
    name: 'targets of a later version than the snapshot says',
    code: 'tuf-mismatch',
    spoil: (maker) => {
      publishEvil(maker);
      maker.bodies.targets.version = 4;
      maker.write('targets', { file: '3.targets.json' });
    },
  },
  {
    name: 'targets with another hash than the snapshot says',
    code: 'tuf-mismatch',
    spoil: (maker) =>
      odd(maker, 'snapshot', (body) => {
        const { length } = maker.files.get('3.targets.json')!;
        const hashes = { sha256: sha256Hex('something else') };
        (body.meta as Record<string, Doc>)['targets.json'] = { version: 3, length, hashes };
      }),
  },
  {
    name: 'a timestamp with a hash of no SHA-256',
    code: 'tuf-malformed',
    spoil: (maker) =>
      odd(maker, 'timestamp', (body) => {
        (body.meta as Record<string, Doc>)['snapshot.json']!.hashes = { sha256: 'ff' };
      }),
  },
  {
    name: 'targets that 1 of 2 signed',
    code: 'tuf-signatures',
    spoil: (maker) => odd(maker, 'targets', () => {}, { signers: maker.keys.targets.slice(0, 1) }),
  },
  ...(['snapshot', 'targets'] as const).map(
    (role): BadForm => ({
      name: `${role} that the timestamp's key signed`,
      code: 'tuf-signatures',
      spoil: (maker) => odd(maker, role, () => {}, { signers: maker.keys.timestamp }),
    }),
  ),
  ...(['3.snapshot.json', '3.targets.json'] as const).map(
    (file): BadForm => ({
      name: `${file} is not there`,
      code: 'tuf-missing',
      spoil: (maker) => {
        publishEvil(maker);
        maker.files.delete(file);
      },
    }),
  ),
  {
    name: 'a timestamp of more bytes than any has',
    code: 'tuf-mismatch',
    spoil: (maker) => odd(maker, 'timestamp', () => {}, { text: (text) => text + ' '.repeat(70_000) }),
  },
];
