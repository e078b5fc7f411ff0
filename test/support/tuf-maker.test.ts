/** The maker against `@tufjs/models`, which shares no code with it. */
import { Metadata, MetadataKind } from '@tufjs/models';
import { describe, expect, it } from 'vitest';
import { newTufKey, renamed, TufMaker } from './tuf-maker.ts';

const json = (maker: TufMaker, file: string) => JSON.parse(Buffer.from(maker.files.get(file)!).toString());
const rootOf = (maker: TufMaker, version = 1) =>
  Metadata.fromJSON(MetadataKind.Root, json(maker, `${version}.root.json`));

describe('a made TUF repository', () => {
  const maker = new TufMaker();
  maker.target('trusted_root.json', '{}');
  maker.delegate('policies', ['policies/*']);
  maker.target('policies/a', 'a policy', 'policies');
  maker.publish();

  it('is signed as the specification says', () => {
    const root = rootOf(maker);
    root.verifyDelegate('root', root);
    const targets = Metadata.fromJSON(MetadataKind.Targets, json(maker, '1.targets.json'));
    root.verifyDelegate('targets', targets);
    targets.verifyDelegate('policies', Metadata.fromJSON(MetadataKind.Targets, json(maker, '1.policies.json')));
    root.verifyDelegate('snapshot', Metadata.fromJSON(MetadataKind.Snapshot, json(maker, '1.snapshot.json')));
    const timestamp = Metadata.fromJSON(MetadataKind.Timestamp, json(maker, 'timestamp.json'));
    root.verifyDelegate('timestamp', timestamp);
    timestamp.signed.snapshotMeta.verify(Buffer.from(maker.files.get('1.snapshot.json')!));
  });

  it('replaces three of five root keys at once: the old and the new root keys sign', () => {
    const before = [...maker.keys.root];
    maker.replace('root', [...before.slice(0, 2), ...maker.newKeys(3)]);
    maker.newRoot(before);
    const next = rootOf(maker, 2);
    rootOf(maker).verifyDelegate('root', next);
    next.verifyDelegate('root', next);
    expect(Object.keys(next.signatures)).toHaveLength(8);
  });

  it('lets too few sign where a test wants it', () => {
    maker.newRoot([], { signers: maker.keys.root.slice(0, 2) });
    const next = rootOf(maker, 3);
    expect(() => next.verifyDelegate('root', next)).toThrow('2/3');
  });

  it('makes a key under two key IDs', () => {
    const key = newTufKey();
    expect(renamed(key, 'a').form).toBe(key.form);
    expect(key.id).toMatch(/^[0-9a-f]{64}$/);
  });
});
