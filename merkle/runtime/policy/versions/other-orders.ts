/** Versions of RubyGems (Gem::Version), of Composer (composer/semver), and of numbers with dots (`intdot` of vers-spec). */
import { compareDigits, compareNumbers, compareText, scheme } from './version-scheme.ts';

const GEM = /^[0-9]+(?:\.[0-9a-zA-Z]+)*(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$/;

function readGem(text: string): readonly string[] | undefined {
  if (!GEM.test(text)) return undefined;
  const segments = text.replaceAll('-', '.pre.').match(/[0-9]+|[a-zA-Z]+/g)!;
  const word = segments.findIndex((segment) => /[a-zA-Z]/.test(segment));
  const split = word === -1 ? segments.length : word;
  return [...withoutZeros(segments.slice(0, split)), ...withoutZeros(segments.slice(split))];
}

function withoutZeros(segments: string[]): string[] {
  while (/^0+$/.test(segments.at(-1) ?? '')) segments.pop();
  return segments;
}

/** A word comes before a number. */
function compareGems(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i] ?? '0', b[i] ?? '0'];
    const [isNumber, isOther] = [/^[0-9]/.test(x), /^[0-9]/.test(y)];
    if (isNumber !== isOther) return isNumber ? 1 : -1;
    const order = isNumber ? compareDigits(x, y) : compareText(x, y);
    if (order !== 0) return order;
  }
  return 0;
}

interface ComposerVersion {
  readonly numbers: readonly string[];
  /** Place in `STABILITIES`. */
  readonly stability: number;
  readonly number: string;
  readonly dev: boolean;
}

const STABILITIES = ['alpha', 'beta', 'rc', 'stable', 'patch'];
const STABLE = STABILITIES.indexOf('stable');
const COMPOSER =
  /^v?([0-9]+(?:\.[0-9]+){0,3})(?:[._-]?(stable|beta|b|rc|alpha|a|patch|pl|p)(?:[.-]?([0-9]+))?)?([.-]?dev)?(?:\+[^\s]+)?$/;

/** Branches (`dev-main`) are no versions. */
function readComposer(text: string): ComposerVersion | undefined {
  const match = COMPOSER.exec(text.toLowerCase());
  if (match === null) return undefined;
  const [, numbers, word = 'stable', number = '0', dev] = match;
  const stability = STABILITIES.findIndex((stability) => stability.startsWith(word === 'pl' ? 'p' : word));
  return { numbers: numbers!.split('.'), stability, number, dev: dev !== undefined };
}

function compareComposer(a: ComposerVersion, b: ComposerVersion): number {
  return (
    compareNumbers(a.numbers, b.numbers) ||
    // `1.0-dev` comes before `1.0-alpha1`.
    place(a) - place(b) ||
    compareDigits(a.number, b.number) ||
    Number(b.dev) - Number(a.dev)
  );
}

function place({ dev, stability }: ComposerVersion): number {
  return dev && stability === STABLE ? -1 : stability;
}

function readNumbers(text: string): readonly string[] | undefined {
  return /^v?[0-9]+(?:\.[0-9]+)*$/.test(text) ? text.replace(/^v/, '').split('.') : undefined;
}

export const GEM_ORDER = scheme(readGem, compareGems, (segments) => segments.some((one) => /[a-zA-Z]/.test(one)));
export const COMPOSER_ORDER = scheme(readComposer, compareComposer, ({ stability, dev }) => dev || stability < STABLE);
export const INTDOT_ORDER = scheme(readNumbers, compareNumbers, () => false);
export const CRAN_ORDER = scheme(
  (text) => readNumbers(text.replaceAll('-', '.')),
  compareNumbers,
  () => false,
);
