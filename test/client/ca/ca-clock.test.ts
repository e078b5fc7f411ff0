import { describe, expect, it } from 'vitest';
import { CaClock } from '../../../client/ca/ca-clock.ts';
import { CaError } from '../../../client/ca/ca-errors.ts';

const NOW = Date.parse('2030-01-01T00:00:00Z');

function clockAt(latest = 0) {
  const time = { wall: NOW, steady: 0 };
  const clock = new CaClock({ store: { latest }, wall: () => time.wall, steady: () => time.steady });
  return { time, clock };
}

describe('the clock of the authority', () => {
  it('may not be before the last certificate, but for the tolerance of clocks that are set', () => {
    const { time, clock } = clockAt(NOW);
    time.wall = NOW - 10_000;
    expect(clock.now()).toBe(NOW - 10_000);
    time.wall = NOW - 10_001;
    expect(() => clock.now()).toThrow(CaError);
    expect(clock.problem).toContain('2030-01-01');
  });

  it('may not stay behind the time of the witnesses as it goes on', () => {
    const { time, clock } = clockAt();
    clock.sawWitnesses(NOW);
    time.steady = 60_000;
    expect(() => clock.now()).toThrow(/or later/);
    time.wall = NOW + 55_000;
    expect(clock.now()).toBe(NOW + 55_000);
  });

  it('takes no earlier time of the witnesses for a later one', () => {
    const { time, clock } = clockAt();
    clock.sawWitnesses(NOW + 3_600_000);
    clock.sawWitnesses(NOW);
    expect(clock.problem).toBeDefined();
    time.wall = NOW + 3_600_000;
    expect(clock.problem).toBeUndefined();
  });

  it('agrees with witnesses that saw the certificate after it began', () => {
    const { clock } = clockAt();
    expect(clock.agrees(NOW, NOW + 5000)).toBe(true);
    expect(clock.agrees(NOW + 60_000, NOW)).toBe(false);
  });
});
