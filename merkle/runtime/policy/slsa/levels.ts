/**
 * Levels of SLSA as verification summaries write them (slsa.dev/spec/v1.2/verification_summary, SlsaResult):
 * `SLSA_<TRACK>_LEVEL_<N>`, `SLSA_<TRACK>_LEVEL_UNEVALUATED`, and names of others that do not begin with `SLSA_`.
 */

const LEVEL = /^SLSA_([A-Z][A-Z0-9_]{0,40})_LEVEL_([0-9]|UNEVALUATED)$/;
const CUSTOM = /^(?!SLSA_)[!-~]{1,100}$/;

interface TrackLevel {
  readonly track: string;
  /** -1 for `UNEVALUATED`: nothing is said. */
  readonly level: number;
}

export function buildLevel(level: number): string {
  return `SLSA_BUILD_LEVEL_${level}`;
}

/** Undefined for a name that is no level of a track. */
export function trackLevelOf(name: string): TrackLevel | undefined {
  const [, track, level] = LEVEL.exec(name) ?? [];
  if (track === undefined) return undefined;
  return { track, level: level === 'UNEVALUATED' ? -1 : Number(level) };
}

/** Whether a policy may ask for this: a level, or a name of somebody else. `FAILED` says that nothing was verified. */
export function isAskedLevel(name: string): boolean {
  return name !== 'FAILED' && (trackLevelOf(name) !== undefined || CUSTOM.test(name));
}

/** Whether one of `shown` is `wanted`, or a higher level of its track: a level implies those below it. */
export function meetsLevel(shown: readonly string[], wanted: string): boolean {
  const needed = trackLevelOf(wanted);
  if (needed === undefined || needed.level < 0) return shown.includes(wanted);
  return shown.some((name) => {
    const found = trackLevelOf(name);
    return found?.track === needed.track && found.level >= needed.level;
  });
}

/** The highest level of each track, and each other name once, in order. */
export function highestLevels(levels: readonly string[]): string[] {
  const tracks = new Map<string, { readonly name: string; readonly level: number }>();
  const others = new Set<string>();
  for (const name of levels) {
    const found = trackLevelOf(name);
    if (found === undefined) {
      others.add(name);
      continue;
    }
    const known = tracks.get(found.track);
    if (known === undefined || known.level < found.level) tracks.set(found.track, { name, level: found.level });
  }
  return [...[...tracks.values()].map(({ name }) => name), ...others].sort();
}
