/** `inEveryQuorum` against a count over all sets of witnesses. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { formatVerifierKey, KEY_TYPE, makeVerifierKey } from '../../merkle/note.ts';
import { inEveryQuorum, type Policy, type PolicyWitness, parsePolicy, quorumMet } from '../../merkle/policy.ts';

const witnessLine = (name: string, url = '') => {
  const key = makeVerifierKey(`${name}.test`, KEY_TYPE.cosignature, createHash('sha256').update(name).digest());
  return `witness ${name} ${formatVerifierKey(key)}${url}\n`;
};

/** By the definition: no set of witnesses meets the quorum without one that `has` names. */
function byDefinition(policy: Policy, has: ReadonlySet<PolicyWitness>, could: ReadonlySet<PolicyWitness>): boolean {
  const { witnesses } = policy;
  for (let bits = 0; bits < 2 ** witnesses.length; bits++) {
    const set = new Set(witnesses.filter((witness, i) => (bits >> i) % 2 === 1 && could.has(witness)));
    if (quorumMet(policy, (witness) => set.has(witness)) && ![...set].some((witness) => has.has(witness))) return false;
  }
  return true;
}

/** A random policy: groups of groups over `count` witnesses. */
function randomPolicy(random: () => number, count: number): Policy {
  const pick = (limit: number) => Math.floor(random() * limit);
  const names = Array.from({ length: count }, (_, i) => `w${i}`);
  let text = names.map((name) => witnessLine(name)).join('');
  const open = [...names];
  for (let group = 0; open.length > 1; group++) {
    const members = Array.from({ length: 1 + pick(Math.min(4, open.length)) }, () =>
      open.splice(pick(open.length), 1),
    ).flat();
    text += `group g${group} ${1 + pick(members.length)} ${members.join(' ')}\n`;
    if (random() < 0.9) open.push(`g${group}`);
    if (open.length === 0) open.push(`g${group}`);
  }
  return parsePolicy(`${text}quorum ${open[0]}\n`);
}

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('the witnesses that are in every quorum', () => {
  it.each(Array.from({ length: 60 }, (_, seed) => seed))('agrees with a count over all sets: seed %d', (seed) => {
    const random = seeded(seed);
    const policy = randomPolicy(random, 2 + Math.floor(random() * 5));
    for (let round = 0; round < 20; round++) {
      const has = new Set(policy.witnesses.filter(() => random() < 0.5));
      const could = new Set(policy.witnesses.filter(() => random() < 0.8));
      const found = inEveryQuorum(
        policy,
        (witness) => has.has(witness),
        (witness) => could.has(witness),
      );
      expect(found).toBe(byDefinition(policy, has, could));
    }
  });

  it.each([
    ['any a b c', ['a', 'b'], false],
    ['any a b c', ['a', 'b', 'c'], true],
    ['2 a b c', ['a'], false],
    ['2 a b c', ['a', 'c'], true],
    ['all a b c', ['b'], true],
    ['all a b c', [], false],
  ] as const)('%s: %j: %s', (rule, has, expected) => {
    const lines = ['a', 'b', 'c'].map((name) => witnessLine(name)).join('');
    const policy = parsePolicy(`${lines}group g ${rule}\nquorum g\n`);
    expect(inEveryQuorum(policy, ({ name }) => (has as readonly string[]).includes(name))).toBe(expected);
  });

  it('is never so without a quorum, as nothing needs a witness then', () => {
    expect(inEveryQuorum(parsePolicy(`${witnessLine('a')}quorum none\n`), () => true)).toBe(false);
  });
});
