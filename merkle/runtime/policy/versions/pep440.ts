/**
 * Versions of Python packages (PEP 440, "Summary of permitted suffixes and relative ordering").
 *
 * A local part counts only where both versions have one: `1.0+cpu` is a build of 1.0, and a rule about 1.0 means it too.
 */
import { compareDigits, compareNumbers, compareText, scheme } from './version-scheme.ts';

interface PythonVersion {
  readonly epoch: string;
  readonly release: readonly string[];
  /** Phase (-1 dev only, 0 a, 1 b, 2 rc, 3 none) and its number. */
  readonly phase: number;
  readonly phaseNumber: string;
  /** Undefined where there is none. */
  readonly post: string | undefined;
  readonly dev: string | undefined;
  readonly local: readonly string[] | undefined;
}

const VERSION = new RegExp(
  [
    '^v?(?:(?<epoch>[0-9]+)!)?(?<release>[0-9]+(?:\\.[0-9]+)*)',
    '(?:[-_.]?(?<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?<preNumber>[0-9]*))?',
    '(?:-(?<implicit>[0-9]+)|[-_.]?(?<post>post|rev|r)[-_.]?(?<postNumber>[0-9]*))?',
    '(?:[-_.]?(?<dev>dev)[-_.]?(?<devNumber>[0-9]*))?',
    '(?:\\+(?<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?$',
  ].join(''),
);

function read(text: string): PythonVersion | undefined {
  const parts = VERSION.exec(text.toLowerCase())?.groups;
  if (parts === undefined) return undefined;
  const { epoch, release, pre, preNumber, implicit, post, postNumber, dev, devNumber, local } = parts;
  const hasPost = implicit !== undefined || post !== undefined;
  const phase = pre !== undefined ? phaseOf(pre) : dev !== undefined && !hasPost ? -1 : 3;
  return {
    epoch: epoch ?? '0',
    release: release!.split('.'),
    phase,
    phaseNumber: preNumber || '0',
    post: hasPost ? (implicit ?? (postNumber || '0')) : undefined,
    dev: dev === undefined ? undefined : devNumber || '0',
    local: local?.split(/[-_.]/),
  };
}

function phaseOf(word: string): number {
  return word.startsWith('a') ? 0 : word.startsWith('b') ? 1 : 2;
}

function compare(a: PythonVersion, b: PythonVersion): number {
  return (
    compareDigits(a.epoch, b.epoch) ||
    compareNumbers(a.release, b.release) ||
    a.phase - b.phase ||
    compareDigits(a.phaseNumber, b.phaseNumber) ||
    compareOptional(a.post, b.post, -1) ||
    compareOptional(a.dev, b.dev, 1) ||
    compareLocals(a.local, b.local)
  );
}

/** `absent` is the order of a missing number against one that is there. */
function compareOptional(a: string | undefined, b: string | undefined, absent: number): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? absent : -absent;
  return compareDigits(a, b);
}

function compareLocals(a: readonly string[] | undefined, b: readonly string[] | undefined): number {
  if (a === undefined || b === undefined) return 0;
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const [left, right] = [/^[0-9]+$/.test(a[i]!), /^[0-9]+$/.test(b[i]!)];
    const both = left ? compareDigits(a[i]!, b[i]!) : compareText(a[i]!, b[i]!);
    const order = left === right ? both : left ? 1 : -1;
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

export const PYPI_ORDER = scheme(read, compare, ({ phase, dev }) => phase < 3 || dev !== undefined);
