import { describe, expect, it } from 'vitest';
import { checkLookup, type LookupChecks, type ProvenLookup } from '../../../client/search/check-lookup.ts';
import type { LookupTrust } from '../../../client/search/lookup-trust.ts';
import type { IndexKey } from '../../../merkle/index/keys.ts';
import { formatLookup, parseLookup } from '../../../merkle/index/lookup.ts';
import { formatNote, parseNote } from '../../../merkle/note.ts';
import { parsePolicy } from '../../../merkle/policy.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { hashedRekord, keyFingerprint, madeUpKey } from '../../support/fulcio.ts';
import { CheckpointKey, quorumPolicy, SignedIndex } from '../../support/signed-index.ts';

const keyOf = (seed: string): IndexKey => ({ kind: 'key', value: keyFingerprint(madeUpKey(seed)) });
const primitives = nodePrimitives();
const KEY = keyOf('key 1');

function add(index: SignedIndex, count: number, seed = 'key'): void {
  for (let i = 0; i < count; i++) index.add(hashedRekord({ key: madeUpKey(`${seed} ${i % 3}`) }, `${seed} ${i}`));
}

function made(entries = 12): SignedIndex {
  const index = new SignedIndex();
  add(index, entries);
  index.publish();
  return index;
}

const check = (
  index: SignedIndex,
  bytes = index.bytes(KEY),
  trust: LookupTrust = index.trust,
  more: Partial<LookupChecks> = {},
) => checkLookup(bytes, KEY, trust, { primitives, ...more });

async function proven(...args: Parameters<typeof check>): Promise<ProvenLookup> {
  const checked = await check(...args);
  if (!checked.ok) throw new Error(`${checked.claim}: ${checked.why}`);
  return checked;
}

describe('a lookup that holds', () => {
  it('says what is there, through which entry, and who rebuilt it', async () => {
    const { present, indexes, complete, completeThrough, rebuilders, rebuilt } = await proven(made());
    expect({ present, indexes, complete, completeThrough, rebuilt }).toEqual({
      present: true,
      indexes: [1, 4, 7, 10],
      complete: true,
      completeThrough: 12,
      rebuilt: 1_700_000_000,
    });
    expect(rebuilders.map(({ witness }) => witness)).toEqual(['k0', 'k1', 'k2']);
  });

  it('says that nothing is there', async () => {
    const index = made();
    const checked = await checkLookup(index.bytes(keyOf('none')), keyOf('none'), index.trust, { primitives });
    expect(checked).toMatchObject({ ok: true, present: false, indexes: [], complete: true, completeThrough: 12 });
  });

  it('holds with the primitives of a browser too', async () => {
    const index = made();
    expect(await proven(index, index.bytes(KEY), index.trust, { primitives: noblePrimitives })).toMatchObject({
      present: true,
    });
  });

  it('names no rebuilder where the trust has none, or asks for none', async () => {
    const index = made();
    const { rebuilders: _, ...without } = index.trust;
    for (const trust of [
      without,
      { ...without, rebuilders: parsePolicy(`${index.rebuilders[0]!.policyLine('r')}quorum none\n`) },
    ]) {
      expect((await proven(index, index.bytes(KEY), trust)).rebuilt).toBeUndefined();
    }
    expect((await proven(index, index.bytes(KEY), without)).rebuilders).toEqual([]);
  });
});

describe('rebuilders', () => {
  const [first, second] = [0, 1];
  const failed = async (index: SignedIndex, bytes = index.bytes(KEY)) => await check(index, bytes);

  it('fewer than the quorum are not enough', async () => {
    const index = made();
    index.outputCosigners = [index.outputWitness, index.rebuilders[first]!];
    expect(await failed(index)).toMatchObject({ ok: false, claim: 'rebuilders' });
  });

  it('a line that stands twice counts once, and so do two cosignatures of one rebuilder', async () => {
    const index = made();
    const one = index.rebuilders[first]!;
    index.outputCosigners = [index.outputWitness, one, one, one];
    expect(await failed(index)).toMatchObject({ ok: false, claim: 'rebuilders' });
    const lookup = index.lookup(KEY);
    const { text, signatures } = parseNote(lookup.outputCheckpoint);
    const twice = formatNote(text, [...signatures.slice(0, 3), one.cosignature(text, 1_800_000_000)]);
    expect(await failed(index, formatLookup({ ...lookup, outputCheckpoint: twice }))).toMatchObject({
      claim: 'rebuilders',
    });
  });

  it('one that the trust does not name counts for nothing', async () => {
    const index = made();
    const strangers = [1, 2, 3].map((i) => new CheckpointKey(`stranger-${i}.example.com`, 'cosigner'));
    index.outputCosigners = [index.outputWitness, index.rebuilders[first]!, ...strangers];
    expect(await failed(index)).toMatchObject({ claim: 'rebuilders' });
    index.outputCosigners = [...index.outputCosigners, index.rebuilders[second]!];
    expect(await failed(index)).toMatchObject({ ok: true, rebuilders: [{ witness: 'k0' }, { witness: 'k1' }] });
  });

  it('a cosignature over another checkpoint is none', async () => {
    const index = made();
    const lookup = index.lookup(KEY);
    const { text, signatures } = parseNote(lookup.outputCheckpoint);
    const other = index.rebuilders.map((one) => one.cosignature(`${text}extension\n`));
    const note = formatNote(text, [...signatures.slice(0, 2), ...other]);
    expect(await failed(index, formatLookup({ ...lookup, outputCheckpoint: note }))).toMatchObject({
      claim: 'rebuilders',
    });
  });

  it('cannot be witnesses of the output log: one cosignature would count for two statements', async () => {
    const index = made();
    const trust = { ...index.trust, rebuilders: quorumPolicy([index.outputWitness, index.rebuilders[0]!], 1) };
    await expect(check(index, index.bytes(KEY), trust)).rejects.toMatchObject({ code: 'policy' });
  });
});

describe('the checkpoints', () => {
  it('need the signatures of both logs, and the quorums of both', async () => {
    const index = made();
    const fresh = (name: string) => [new CheckpointKey(name, 'log').key];
    const { input, output } = index.trust;
    const claims = [
      [{ output: { ...output, keys: fresh(output.origin) } }, 'output-signature'],
      [{ input: { ...input, keys: fresh(input.origin) } }, 'input-signature'],
      [{ output: { ...output, policy: quorumPolicy([new CheckpointKey('w', 'cosigner')], 1) } }, 'output-quorum'],
      [{ input: { ...input, policy: quorumPolicy([new CheckpointKey('w', 'cosigner')], 1) } }, 'input-quorum'],
      [{ input: { ...input, origin: 'log.example.com/else' } }, 'map'],
      [{ output: { ...output, origin: 'index.example.com/else' } }, 'output-signature'],
    ] as const;
    for (const [change, claim] of claims) {
      const checked = await check(index, index.bytes(KEY), { ...index.trust, ...change });
      expect(checked).toMatchObject({ ok: false, claim });
    }
  });

  it('of both logs continue what was seen, with a proof where they grew', async () => {
    const index = made();
    const { memory } = await proven(index);
    expect([memory.input.size, memory.output.size]).toEqual([12, 1]);
    add(index, 5, 'more');
    index.publish();
    const grown = await proven(index, index.bytes(KEY), index.trust, { memory, prove: index.prove });
    expect([grown.memory.input.size, grown.memory.output.size]).toEqual([17, 2]);
    expect(await check(index, index.bytes(KEY), index.trust, { memory })).toMatchObject({ claim: 'output-history' });
    const wrong = { memory, prove: async () => [new Uint8Array(32)] };
    expect(await check(index, index.bytes(KEY), index.trust, wrong)).toMatchObject({ claim: 'output-history' });
  });

  it('that are smaller than what was seen are refused: an old root hides what came since', async () => {
    const index = made();
    const old = index.bytes(KEY);
    add(index, 5, 'more');
    index.publish();
    const { memory } = await proven(index);
    expect(await check(index, old, index.trust, { memory, prove: index.prove })).toMatchObject({
      claim: 'output-history',
    });
    const { output: _, ...input } = memory;
    expect(await check(index, old, index.trust, { memory: input, prove: index.prove })).toMatchObject({
      claim: 'input-history',
    });
  });

  it('with another root for a size that was seen are refused', async () => {
    const index = made();
    const { memory } = await proven(index);
    const root = new Uint8Array(32).fill(7);
    for (const log of ['input', 'output'] as const) {
      const forked = { ...memory, [log]: { ...memory[log], root } };
      expect(await check(index, index.bytes(KEY), index.trust, { memory: forked })).toMatchObject({
        claim: `${log}-history`,
      });
    }
  });

  it('may be older than what the client saw of the input log elsewhere, if they are of one history', async () => {
    const index = made();
    const bytes = index.bytes(KEY);
    add(index, 5, 'more');
    index.publish();
    const log = (await proven(index)).memory.input;
    expect(await proven(index, bytes, index.trust, { memory: { log }, prove: index.prove })).toMatchObject({
      completeThrough: 12,
    });
    const fork = { size: 17, root: new Uint8Array(32).fill(9) };
    expect(await check(index, bytes, index.trust, { memory: { log: fork }, prove: index.prove })).toMatchObject({
      claim: 'input-history',
    });
  });
});

describe('a lie about the postings', () => {
  const changed = async (change: (postings: number[]) => void) => {
    const index = made();
    const lookup = index.lookup(KEY);
    if (lookup.place.kind !== 'key') throw new Error('not there');
    const postings = [...lookup.place.postings];
    change(postings);
    const count = postings.length;
    return await check(index, formatLookup({ ...lookup, place: { ...lookup.place, postings, count } }));
  };

  it.each([
    ['one is left out', (postings: number[]) => postings.splice(1, 1)],
    ['one is added', (postings: number[]) => postings.push(11)],
    ['one is moved', (postings: number[]) => postings.splice(1, 1, 5)],
    ['all are left out but the first', (postings: number[]) => postings.splice(1)],
  ])('%s', async (_, change) => expect(await changed(change)).toMatchObject({ ok: false, claim: 'map' }));

  it('absence of what is there', async () => {
    const index = made();
    const { siblings: _, ...lookup } = index.lookup(keyOf('none'));
    const { siblings } = index.lookup(KEY);
    const lie = formatLookup({ ...lookup, siblings, place: { kind: 'empty' } });
    expect(await check(index, lie)).toMatchObject({ ok: false, claim: 'map' });
    expect(await check(index, index.bytes(keyOf('none')))).toMatchObject({ ok: false, claim: 'map' });
  });

  it('the postings of another key', async () => {
    const index = made();
    expect(await check(index, index.bytes(keyOf('key 2')))).toMatchObject({ ok: false, claim: 'map' });
  });

  it('no lookup at all, cut short at every byte', async () => {
    const index = made();
    const bytes = index.bytes(KEY);
    for (let length = 0; length < bytes.length; length += 13) {
      expect(await check(index, bytes.slice(0, length))).toMatchObject({ ok: false, claim: 'form' });
    }
    expect(parseLookup(bytes).outputLeaf.length).toBeGreaterThan(0);
  });
});
