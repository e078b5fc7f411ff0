import { describe, expect, it } from 'vitest';
import { type Evidence, formatEvidence, parseEvidence, proofOfFork, verifyEvidence } from '../../merkle/evidence.ts';
import { parseVerifierKey } from '../../merkle/note.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { TestLog, treeOf } from '../witness/helpers.ts';
import { codeOf, damaged, nodeSha256 } from './helpers.ts';

const tree = treeOf('one', 40, 3);
const fork = treeOf('two', 40, 3);
const log = new TestLog('log.test', tree);
const note = (size: number, of = tree) => log.note(log.text(size, of.roots[size]));
const keys = [parseVerifierKey(log.vkey)];
const verify = (evidence: Evidence) => verifyEvidence(evidence, nodeNotePrimitives, nodeSha256);
const head = (size: number, of = tree) => ({ size, root: of.roots[size]! });

describe('two roots', () => {
  it('of one size are evidence', () => {
    const evidence = { keys, first: note(9), second: note(9, fork) };
    expect(verify(evidence)).toMatchObject({ origin: 'log.test', kind: 'two-roots', firstSize: 9, secondSize: 9 });
    expect(verify(parseEvidence(formatEvidence(evidence)))).toMatchObject({ kind: 'two-roots' });
  });

  it('of different sizes, of one root, of other logs or unsigned are none', () => {
    expect(codeOf(() => verify({ keys, first: note(9), second: note(10, fork) }))).toBe('bad-evidence');
    expect(codeOf(() => verify({ keys, first: note(9), second: note(9) }))).toBe('bad-evidence');
    const other = new TestLog('log.test', fork);
    const foreign = other.note(other.text(9));
    expect(codeOf(() => verify({ keys, first: note(9), second: foreign }))).toBe('unknown-key');
    const renamed = new TestLog('other.test', fork);
    const both = [...keys, parseVerifierKey(renamed.vkey)];
    expect(codeOf(() => verify({ keys: both, first: note(9), second: renamed.note(renamed.text(9)) }))).toBe(
      'bad-evidence',
    );
  });
});

describe('two histories', () => {
  it('show in the fork’s own proof, from every size but powers of two', () => {
    for (const size of [3, 5, 6, 7, 9, 31]) {
      const proof = proofOfFork(head(size), head(33, fork), log.proof(size, 33, fork), nodeSha256);
      if (size === 3) expect(proof).toBeUndefined();
      else {
        const evidence = { keys, first: note(size), second: note(33, fork), proof: proof! };
        expect(verify(parseEvidence(formatEvidence(evidence)))).toMatchObject({
          kind: 'two-histories',
          firstSize: size,
        });
      }
    }
    // The proof does not hold the first root, and no garbage can be told from a fork.
    expect(proofOfFork(head(8), head(33, fork), log.proof(8, 33, fork), nodeSha256)).toBeUndefined();
    const root = fork.roots[8]!;
    const known = { keys, first: note(8), second: note(33, fork), proof: { root, hashes: log.proof(8, 33, fork) } };
    expect(verify(known)).toMatchObject({ kind: 'two-histories', firstSize: 8 });
  });

  it('do not show in garbage about a log that is honest', () => {
    const good = log.proof(9, 33);
    expect(proofOfFork(head(9), head(33), good, nodeSha256)).toBeUndefined();
    for (const bad of damaged(good)) {
      const proof = proofOfFork(head(9), head(33), bad, nodeSha256);
      expect(proof).toBeUndefined();
      const root = fork.roots[9]!;
      const claim = { keys, first: note(9), second: note(33), proof: { root, hashes: bad } };
      expect(codeOf(() => verify(claim))).toBe('bad-proof');
    }
  });

  it('need a proof from another root than the first has', () => {
    const proof = { root: tree.roots[9]!, hashes: log.proof(9, 33) };
    expect(codeOf(() => verify({ keys, first: note(9), second: note(33), proof }))).toBe('bad-evidence');
    const zero = { root: tree.roots[9]!, hashes: [] };
    expect(codeOf(() => verify({ keys, first: note(0), second: note(9), proof: zero }))).toBe('bad-evidence');
    expect(codeOf(() => verify({ keys, first: note(33), second: note(9, fork), proof }))).toBe('bad-evidence');
  });
});

it('is read strictly', () => {
  const text = formatEvidence({ keys, first: note(9), second: note(9, fork) });
  expect(formatEvidence(parseEvidence(text))).toBe(text);
  for (const bad of [
    '',
    'null',
    '[]',
    '{}',
    text.trim(),
    ` ${text}`,
    text.replace('v1', 'v2'),
    text.replace('}', ',"x":1}'),
  ]) {
    expect(
      codeOf(() => parseEvidence(bad)),
      bad,
    ).toBe('bad-evidence');
  }
});
