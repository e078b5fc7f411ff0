/** The verdicts of in-toto-golang 0.11 over published layouts, which it made itself. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parsePem, pemBytes } from '../../../../../merkle/pem.ts';
import { parseSpki } from '../../../../../merkle/rekor/spki.ts';
import type { LinkFolder } from '../../../../../merkle/runtime/policy/layout/types.ts';
import { verifyLayout as verifyAll } from '../../../../../merkle/runtime/policy/layout/verify-layout.ts';
import { skips } from '../../../../support/skip.ts';
import { vectorFolder } from '../../../../support/vectors.ts';

const verifyLayout = (...given: Parameters<typeof verifyAll>) => verifyAll(...given).verdict;

interface Case {
  readonly dir: string;
  readonly layoutKeys: number;
  readonly verdict: 'accept' | 'reject';
  readonly why: string;
}

/** What Stele refuses on purpose, and the reason that it gives. */
const STRICTER: Readonly<Record<string, string>> = {
  '45-inspection': 'inspections',
  '46-inspection-fails': 'inspections',
  '47-inspection-finds-a-stranger': 'inspections',
  '50-no-steps': 'no-steps',
};

const FOLDER = vectorFolder('../layouts');
const MISSING =
  FOLDER !== undefined && existsSync(FOLDER) ? undefined : 'TEST_VECTORS has no folder of layouts beside it';
const CASES: readonly Case[] =
  MISSING === undefined ? JSON.parse(readFileSync(join(FOLDER!, 'expected.json'), 'utf8')).cases : [];

function folder(path: string): LinkFolder {
  return {
    linksOf: (step) =>
      (existsSync(path) ? readdirSync(path) : [])
        .filter((name) => name.startsWith(`${step}.`) && name.length === step.length + 14 && name.endsWith('.link'))
        .filter((name) => statSync(join(path, name)).isFile())
        .map((name) => ({ name, read: () => readFileSync(join(path, name)) })),
    below: (name) => folder(join(path, name)),
  };
}

describe.skipIf(skips('layouts of in-toto-golang', MISSING))('layouts of in-toto-golang', () => {
  it('are all there', () => expect(CASES.length).toBe(48));

  it.each(CASES)('$dir: $verdict', ({ dir, layoutKeys, verdict }) => {
    const place = join(FOLDER!, dir);
    const keys = Array.from({ length: layoutKeys }, (_, at) => {
      const [block] = parsePem(readFileSync(join(place, `owner${at + 1}.pub`), 'utf8'));
      return parseSpki(pemBytes(block!));
    });
    const layout = readFileSync(join(place, 'root.layout'));
    const found = verifyLayout(layout, keys, folder(join(place, 'links')), { now: Date.UTC(2026, 7, 1) });
    const stricter = STRICTER[dir];
    if (stricter !== undefined) {
      expect(found.reasons.map(({ code }) => code)).toEqual([stricter]);
      expect(found.accepted).toBe(false);
      return;
    }
    expect(found.accepted, JSON.stringify(found, null, 1)).toBe(verdict === 'accept');
  });
});
