/** `npm run test:crash` kills it 50 times; a few kills keep the everyday run short. Needs `npm run build`. */
import { expect, it } from 'vitest';
import { tempDir } from './helpers.ts';
import { killRounds } from './kill-run.ts';

const ROUNDS = Number(process.env.WITNESS_KILLS ?? 4);

it(
  `stands by every cosignature after ${ROUNDS} SIGKILLs under load`,
  async () => {
    expect(await killRounds(await tempDir(), ROUNDS)).toBeGreaterThan(ROUNDS);
  },
  ROUNDS * 10_000 + 30_000,
);
