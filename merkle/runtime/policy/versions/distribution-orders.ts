/** Versions of packages of Linux distributions: Debian (deb-version(7)), RPM (rpm-version(7)) and Alpine (apk-tools). */
import { compareDigits, compareText, scheme } from './version-scheme.ts';

/** Epoch, version, and what stands after the last dash. */
interface DistributionVersion {
  readonly epoch: string;
  readonly version: string;
  readonly release: string | undefined;
}

function reader(pattern: RegExp): (text: string) => DistributionVersion | undefined {
  return (text) => {
    const parts = pattern.exec(text)?.groups;
    if (parts === undefined) return undefined;
    return { epoch: parts.epoch ?? '0', version: parts.version!, release: parts.release };
  };
}

const DEB = /^(?!.*-$)(?<version>[0-9][A-Za-z0-9.+~:-]*?)(?:-(?<release>[A-Za-z0-9.+~]+))?$/;

/** What stands before the first colon is the epoch, a number. */
function readDeb(text: string): DistributionVersion | undefined {
  const colon = text.indexOf(':');
  const epoch = colon === -1 ? '0' : text.slice(0, colon);
  const rest = reader(DEB)(text.slice(colon + 1));
  return rest === undefined || !/^[0-9]+$/.test(epoch) ? undefined : { ...rest, epoch };
}

function compareDeb(a: DistributionVersion, b: DistributionVersion): number {
  return (
    compareDigits(a.epoch, b.epoch) ||
    compareDebPart(a.version, b.version) ||
    compareDebPart(a.release ?? '', b.release ?? '')
  );
}

/** Pieces without digits and numbers in turn. A tilde comes before the end, and letters before all other signs. */
function compareDebPart(a: string, b: string): number {
  const [left, right] = [debPieces(a), debPieces(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [x, y] = [left[i] ?? '', right[i] ?? ''];
    const order = i % 2 === 0 ? compareSigns(x, y) : compareDigits(x, y);
    if (order !== 0) return order;
  }
  return 0;
}

function debPieces(text: string): readonly string[] {
  return [...text.matchAll(/([^0-9]*)([0-9]*)/g)].flatMap(([, signs, digits]) => [signs!, digits!]);
}

function compareSigns(a: string, b: string): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const order = weight(a[i]) - weight(b[i]);
    if (order !== 0) return order;
  }
  return 0;
}

function weight(sign: string | undefined): number {
  if (sign === undefined) return 0;
  if (sign === '~') return -1;
  return /[A-Za-z]/.test(sign) ? sign.charCodeAt(0) : sign.charCodeAt(0) + 256;
}

const hasTilde = ({ version, release = '' }: DistributionVersion) => `${version}${release}`.includes('~');

const RPM = /^(?:(?<epoch>[0-9]+):)?(?<version>[A-Za-z0-9._+~^]+)(?:-(?<release>[A-Za-z0-9._+~^]+))?$/;

/** A version without a release stands for each of its releases. */
function compareRpm(a: DistributionVersion, b: DistributionVersion): number {
  const order = compareDigits(a.epoch, b.epoch) || compareRpmPart(a.version, b.version);
  if (order !== 0 || a.release === undefined || b.release === undefined) return order;
  return compareRpmPart(a.release, b.release);
}

function compareRpmPart(a: string, b: string): number {
  const piecesOf = (text: string): readonly string[] => text.match(/[0-9]+|[A-Za-z]+|~|\^/g) ?? [];
  const [left, right] = [piecesOf(a), piecesOf(b)];
  for (let i = 0; ; i++) {
    const [x, y] = [left[i], right[i]];
    if (x === '~' || y === '~') {
      if (x !== y) return x === '~' ? -1 : 1;
    } else if (x === '^' || y === '^') {
      // A caret is after the end, and before anything else.
      if (x !== y) return x === '^' ? (y === undefined ? 1 : -1) : x === undefined ? -1 : 1;
    } else if (x === undefined || y === undefined) {
      return x === y ? 0 : x === undefined ? -1 : 1;
    } else {
      const [isNumber, isOther] = [/^[0-9]/.test(x), /^[0-9]/.test(y)];
      if (isNumber !== isOther) return isNumber ? 1 : -1;
      const order = isNumber ? compareDigits(x, y) : compareText(x, y);
      if (order !== 0) return order;
    }
  }
}

interface AlpineVersion {
  readonly numbers: readonly string[];
  readonly letter: string;
  /** Place in `SUFFIXES` and number. */
  readonly suffixes: readonly (readonly [number, string])[];
  readonly hash: string | undefined;
  readonly revision: string | undefined;
}

const SUFFIXES = ['alpha', 'beta', 'pre', 'rc', '', 'cvs', 'svn', 'git', 'hg', 'p'];
const NO_SUFFIX = SUFFIXES.indexOf('');
const APK =
  /^([0-9]+(?:\.[0-9]+)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*)(?:~([0-9a-f]+))?(?:-r([0-9]+))?$/;

function readApk(text: string): AlpineVersion | undefined {
  const match = APK.exec(text);
  if (match === null) return undefined;
  const suffixes = [...match[3]!.matchAll(/_([a-z]+)([0-9]*)/g)];
  return {
    numbers: match[1]!.split('.'),
    letter: match[2]!,
    suffixes: suffixes.map(([, word, digits]) => [SUFFIXES.indexOf(word!), digits!] as const),
    hash: match[4],
    revision: match[5],
  };
}

/** Numbers after the first that begin with a zero compare as fractions do. More parts are more, but for early suffixes. */
function compareApk(a: AlpineVersion, b: AlpineVersion): number {
  for (let i = 0; i < Math.max(a.numbers.length, b.numbers.length); i++) {
    const [x, y] = [a.numbers[i], b.numbers[i]];
    if (x === undefined) return -1;
    if (y === undefined) return 1;
    const isFraction = i > 0 && (x.startsWith('0') || y.startsWith('0'));
    const order = isFraction ? compareText(x, y) : compareDigits(x, y);
    if (order !== 0) return order;
  }
  return (
    compareText(a.letter, b.letter) ||
    compareSuffixes(a, b) ||
    compareText(a.hash ?? '', b.hash ?? '') ||
    compareDigits(a.revision ?? '0', b.revision ?? '0')
  );
}

function compareSuffixes(a: AlpineVersion, b: AlpineVersion): number {
  for (let i = 0; i < Math.max(a.suffixes.length, b.suffixes.length); i++) {
    const [place, number] = a.suffixes[i] ?? [NO_SUFFIX, ''];
    const [otherPlace, otherNumber] = b.suffixes[i] ?? [NO_SUFFIX, ''];
    const order = place - otherPlace || compareDigits(number, otherNumber);
    if (order !== 0) return order;
  }
  return 0;
}

function hasEarlySuffix({ suffixes }: AlpineVersion): boolean {
  return suffixes.some(([place]) => place < NO_SUFFIX);
}

export const DEB_ORDER = scheme(readDeb, compareDeb, hasTilde);
export const RPM_ORDER = scheme(reader(RPM), compareRpm, hasTilde);
export const APK_ORDER = scheme(readApk, compareApk, hasEarlySuffix);
