/** Every lie of an index that a page can show. What no page shows, a hit that is left out, is for the verifiable index. */
import { describe, expect, it } from 'vitest';
import { type CheckedPage, checkPage, type PageChecks } from '../../../client/search/check-page.ts';
import type { SearchPage, SearchQuery } from '../../../client/search/types.ts';
import { parseTrustPolicy } from '../../../client/trust/quorum.ts';
import type { CheckpointTrust } from '../../../client/verify/types.ts';
import { encodeUtf8 } from '../../../merkle/bytes.ts';
import { formatVerifierKey } from '../../../merkle/note.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { cosignerOf } from '../monitor/cosigner.ts';
import { BY_NAME, digestOf, hitOf, ISSUER, NAME, pageOf, queryOf, signedLog } from './pages.ts';

const log = signedLog();
const trust: CheckpointTrust = { logKey: log.key };
const query = queryOf(log, [BY_NAME]);

function check(
  page: SearchPage,
  asked: SearchQuery = query,
  by: CheckpointTrust = trust,
  more: Partial<PageChecks> = {},
): CheckedPage {
  return checkPage(page, asked, by, { primitives: nodePrimitives(), ...more });
}

const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return 'taken';
};

const failures = ({ hits }: CheckedPage) => hits.map((hit) => (hit.ok ? 'ok' : hit.error.code));

describe('a page that holds', () => {
  it('has hits that hold, with what each is found by', () => {
    const { hits, size, verified } = check(pageOf(log, [0, 3, 27]));
    expect(hits.map(({ index, ok }) => [index, ok])).toEqual([
      [0, true],
      [3, true],
      [27, true],
    ]);
    expect([size, verified.head.origin]).toEqual([30, 'log.test']);
    expect(hits[0]!.keys).toContainEqual({ kind: 'issuer-identity', value: `${ISSUER.length}:${ISSUER}${NAME}` });
  });

  it('is the same with the primitives of a browser', () => {
    expect(failures(check(pageOf(log, [3]), query, trust, { primitives: noblePrimitives }))).toEqual(['ok']);
  });

  it('may be empty, and may be about prefixes and patterns', () => {
    expect(check(pageOf(log, [])).hits).toEqual([]);
    const prefix = queryOf(log, [{ kind: 'identity', match: 'prefix', value: 'release@' }]);
    expect(failures(check(pageOf(log, [3]), prefix))).toEqual(['ok']);
    const pattern = queryOf(log, [{ kind: 'identity', match: 're2', value: '^rel' }]);
    const matches = (re2: string, text: string) => new RegExp(re2).test(text);
    expect(failures(check(pageOf(log, [3]), pattern, trust, { matches }))).toEqual(['ok']);
    expect(refusal(() => check(pageOf(log, [3]), pattern))).toBe('usage');
  });

  it('may go down', () => {
    const down = { ...query, order: 'descending' as const };
    expect(failures(check(pageOf(log, [27, 3, 0]), down))).toEqual(['ok', 'ok', 'ok']);
  });
});

describe('a hit that does not hold', () => {
  it('is one that the log does not have', () => {
    const invented = { ...hitOf(log, 3), body: hitOf(log, 0).body };
    const { hits } = check(pageOf(log, [], { hits: [hitOf(log, 0), invented] }));
    expect(failures({ hits } as CheckedPage)).toEqual(['ok', 'bad-proof']);
    expect(hits[1]).toMatchObject({ index: 3, error: { message: expect.stringContaining('at index 3') } });
  });

  it('has the proof of another index, of another tree, or half of one', () => {
    const elsewhere = { ...hitOf(log, 3), proof: hitOf(log, 6).proof };
    const older = hitOf(log, 6, 20);
    const half = { ...hitOf(log, 9), proof: hitOf(log, 9).proof.slice(1) };
    const more = { ...hitOf(log, 12), proof: [...hitOf(log, 12).proof, new Uint8Array(32)] };
    const page = pageOf(log, [], { hits: [elsewhere, older, half, more] });
    expect(failures(check(page))).toEqual(['bad-proof', 'bad-proof', 'bad-proof', 'bad-proof']);
  });

  it('is in the log, and has not what was searched for', () => {
    const { hits } = check(pageOf(log, [0, 1]));
    expect(failures({ hits } as CheckedPage)).toEqual(['ok', 'bad-hit']);
    expect((hits[1] as { error: Error }).error.message).toContain(`has no identity "${NAME}"`);
  });

  it('has one of two terms', () => {
    const both = queryOf(log, [BY_NAME, { kind: 'digest', match: 'exact', value: digestOf(3) }]);
    expect(failures(check(pageOf(log, [0, 3]), both))).toEqual(['bad-hit', 'ok']);
  });

  it('has the issuer in one certificate, and not the name that was asked for with it', () => {
    const other = {
      kind: 'issuer-identity',
      match: 'exact',
      value: `${ISSUER.length}:${ISSUER}other@example.com`,
    } as const;
    expect(failures(check(pageOf(log, [3]), queryOf(log, [other])))).toEqual(['bad-hit']);
  });

  it('contains the text of an exact term, and more', () => {
    const part = queryOf(log, [{ kind: 'identity', match: 'exact', value: 'release@example.co' }]);
    expect(failures(check(pageOf(log, [3]), part))).toEqual(['bad-hit']);
    const end = queryOf(log, [{ kind: 'identity', match: 'prefix', value: 'example.com' }]);
    expect(failures(check(pageOf(log, [3]), end))).toEqual(['bad-hit']);
  });

  it('shows the text of a stranger without control characters', () => {
    const term = { kind: 'identity', match: 'exact', value: '\u001b[2J\u202Eevil' } as const;
    const [hit] = check(pageOf(log, [3]), queryOf(log, [term])).hits;
    expect((hit as { error: Error }).error.message).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

describe('a page is refused', () => {
  it('that is about another log, or whose checkpoint is', () => {
    const other = signedLog(30, 'other.test');
    expect(refusal(() => check(pageOf(other, [3])))).toBe('bad-page');
    expect(refusal(() => check({ ...pageOf(other, [3]), log: log.origin }, query, trust))).toBe('bad-checkpoint');
    // The trust knows both.
    const policy = parseTrustPolicy(
      encodeUtf8(`log ${formatVerifierKey(log.key)}\nlog ${formatVerifierKey(other.key)}\nquorum none\n`),
    );
    expect(refusal(() => check({ ...pageOf(other, [3]), log: log.origin }, query, { policy }))).toBe('bad-checkpoint');
  });

  it('whose checkpoint nobody signed, or somebody else of that name', () => {
    const page = pageOf(log, [3]);
    const forged = new FakeLog(log.view, log.origin);
    expect(refusal(() => check({ ...page, checkpoint: forged.sign(log.text()) }))).toBe('bad-checkpoint');
    expect(refusal(() => check({ ...page, checkpoint: log.text() }))).toBe('bad-checkpoint');
    expect(refusal(() => check({ ...page, checkpoint: '' }))).toBe('bad-checkpoint');
  });

  it('whose checkpoint is about another tree than the page', () => {
    const page = pageOf(log, [3]);
    const older = log.sign(log.text(20));
    expect(refusal(() => check({ ...page, checkpoint: older }))).toBe('bad-checkpoint');
    expect(refusal(() => check({ ...page, size: 31 }))).toBe('bad-checkpoint');
    expect(refusal(() => check({ ...page, root: new Uint8Array(32) }))).toBe('bad-checkpoint');
  });

  it('without the quorum of the policy', async () => {
    const [one, two] = [cosignerOf('one.test'), cosignerOf('two.test')];
    const key = formatVerifierKey(log.key);
    const text = `log ${key}\nwitness one ${one.vkey}\nwitness two ${two.vkey}\ngroup all 2 one two\nquorum all\n`;
    const policy = parseTrustPolicy(encodeUtf8(text));
    const page = pageOf(log, [3]);
    const half = log.sign(log.text(), [await one.cosign(log.text())]);
    const whole = log.sign(log.text(), [await one.cosign(log.text()), await two.cosign(log.text())]);
    const moved = log.sign(log.text(), [await one.cosign(log.text()), await two.cosign(log.text(20))]);
    expect(refusal(() => check(page, query, { policy }))).toBe('quorum');
    expect(refusal(() => check({ ...page, checkpoint: half }, query, { policy }))).toBe('quorum');
    expect(refusal(() => check({ ...page, checkpoint: moved }, query, { policy }))).toBe('quorum');
    expect(check({ ...page, checkpoint: whole }, query, { policy }).verified.cosigned).toHaveLength(2);
  });

  it('with a hit out of order, twice, or outside of range and tree', () => {
    expect(refusal(() => check(pageOf(log, [6, 3])))).toBe('bad-page');
    expect(refusal(() => check(pageOf(log, [3, 3])))).toBe('bad-page');
    expect(refusal(() => check(pageOf(log, [3, 6]), { ...query, order: 'descending' }))).toBe('bad-page');
    expect(refusal(() => check(pageOf(log, [3, 9]), { ...query, from: 6 }))).toBe('bad-page');
    expect(refusal(() => check(pageOf(log, [3, 9]), { ...query, to: 9 }))).toBe('bad-page');
    const beyond = { ...hitOf(log, 3), index: 30 };
    expect(refusal(() => check(pageOf(log, [], { hits: [beyond] })))).toBe('bad-page');
  });

  it('with more hits than were asked for', () => {
    expect(refusal(() => check(pageOf(log, [0, 3]), { ...query, limit: 1 }))).toBe('bad-page');
  });

  it('that does not go on from the page before', () => {
    const first = check(pageOf(log, [0, 3], { next: 'a' }));
    expect(check(pageOf(log, [6]), query, trust, { before: first }).last).toBe(6);
    // Twice the same hit, and one that stands before the last.
    expect(refusal(() => check(pageOf(log, [3]), query, trust, { before: first }))).toBe('bad-page');
    expect(refusal(() => check(pageOf(log, [0]), query, trust, { before: first }))).toBe('bad-page');
    // Also where pages without hits stand between.
    const empty = check(pageOf(log, []), query, trust, { before: first });
    expect(refusal(() => check(pageOf(log, [3]), query, trust, { before: empty }))).toBe('bad-page');
    // A tree of the same log that is good in itself.
    const smaller = {
      ...pageOf(log, []),
      size: 20,
      root: log.view.tree.roots[20]!,
      checkpoint: log.sign(log.text(20)),
    };
    expect(check(smaller).size).toBe(20);
    expect(refusal(() => check(smaller, query, trust, { before: first }))).toBe('bad-page');
  });
});
