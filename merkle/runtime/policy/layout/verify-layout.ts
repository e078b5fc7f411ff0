/**
 * Verifies a layout and its links (in-toto/docs, in-toto-spec.md section 5.2), with the verdicts of in-toto-golang 0.11. On
 * purpose, these are refused here and accepted there: a link of another step's name, a layout without steps, two steps of one
 * name, one key under two key ids that would count twice, an artifact without a hash. Inspections are never run: a layout with
 * inspections is refused.
 *
 * A file that no functionary signed, or that is not read, is passed over: whoever can write it could also leave it out.
 */
import { printable } from '../../../printable.ts';
import type { KeyInfo } from '../../../rekor/spki.ts';
import { timeText } from '../../../x509/utc-time.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { digestOfFile } from '../file-digest.ts';
import { applyRules, cleanName, type StepArtifacts, sameArtifacts } from './artifact-rules.ts';
import { keyFingerprint, layoutKeyOf, verifyLayoutSignature } from './layout-key.ts';
import { type Layout, readMetadata, type SignedMetadata, type Step, UnverifiableLayout } from './layout-metadata.ts';
import { type MatchBudget, TooMuchMatching } from './name-pattern.ts';
import type {
  Artifacts,
  JudgedLink,
  JudgedStep,
  LayoutKey,
  LayoutReason,
  LayoutReasonCode,
  LayoutVerdict,
  Link,
  LinkFile,
  LinkFolder,
} from './types.ts';

/** Layouts inside of each other. */
const MAX_SUBLAYOUTS = 8;
const MAX_FILES = 5_000;
/** Of all files together. A parsed link takes several times its bytes of memory. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Signatures without a key id that are tried; each takes up to a millisecond. */
const MAX_TRIES = 16;
/** Comparisons of a character, about two seconds. */
const MAX_MATCHING = 50_000_000;

export interface LayoutOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Why a link does not count as logged; undefined where it is logged. Asked for each link of a functionary. */
  readonly unlogged?: (file: LinkFile, link: Link, key: LayoutKey) => string | undefined;
}

/**
 * @param bytes the layout, as a metablock or a DSSE envelope
 * @param keys each of them must have signed the layout; at least one
 * @param links where `STEP.KEYID8.link` are
 * @throws what `links` throws, and nothing else: everything else is a reason of the verdict
 */
export function verifyLayout(
  bytes: Uint8Array,
  keys: readonly KeyInfo[],
  links: LinkFolder,
  options: LayoutOptions,
): VerifiedLayout {
  return new Verification(options).root(bytes, keys.map(layoutKeyOf), links);
}

interface VerifiedLayout {
  readonly verdict: LayoutVerdict;
  /** What the last step made; empty where the layout is not accepted. */
  readonly products: Artifacts;
}

/** A link whose functionary was verified. */
interface CountedLink {
  readonly key: LayoutKey;
  readonly artifacts: StepArtifacts;
  readonly command: readonly string[];
}

interface Found {
  readonly verdict: LayoutVerdict;
  /** What the layout did as a whole: materials of its first step, products of its last one. */
  readonly summary: Omit<CountedLink, 'key'> | undefined;
}

class Verification {
  readonly #options: LayoutOptions;
  readonly #budget: MatchBudget = { left: MAX_MATCHING };
  #files = 0;
  #bytes = 0;

  constructor(options: LayoutOptions) {
    this.#options = options;
  }

  root(bytes: Uint8Array, keys: readonly LayoutKey[], links: LinkFolder): VerifiedLayout {
    const read = readOr(bytes, 'layout-format');
    if ('code' in read.metadata) {
      return { verdict: { ...refusedLayout([read.metadata]), layout: read.digest }, products: new Map() };
    }
    const { verdict, summary } = this.#layout(read.metadata, keys, links, '', 0);
    return { verdict, products: summary?.artifacts.products ?? new Map() };
  }

  #layout(metadata: SignedMetadata, keys: readonly LayoutKey[], links: LinkFolder, path: string, depth: number): Found {
    const { payload, digest } = metadata;
    const refused = (reasons: readonly LayoutReason[]): Found => ({
      verdict: { ...refusedLayout(reasons), layout: digest },
      summary: undefined,
    });
    if (payload.kind !== 'layout') return refused([because('layout-format', 'the file is a link and not a layout')]);
    const reasons = this.#layoutReasons(metadata, payload, keys, depth);
    // Nothing of a layout is followed that the right keys have not signed.
    if (reasons.length > 0) return refused(reasons);
    const judged = payload.steps.map((step) => this.#step(step, payload, links, path, depth));
    const artifacts = new Map(
      judged.flatMap(({ step: { name }, links: [first] }) => (first ? [[name, first.artifacts] as const] : [])),
    );
    const complete = judged.every(({ result }) => result.holds);
    const steps = judged.map(({ step, result }): JudgedStep => {
      if (!complete) return result;
      const broken = this.#brokenRules(step, artifacts);
      return { ...result, holds: broken.length === 0, reasons: broken };
    });
    const accepted = steps.every(({ holds }) => holds);
    const [first, last] = [judged[0]?.links[0], judged.at(-1)?.links[0]];
    return {
      verdict: { accepted, layout: digest, steps, reasons: [] },
      summary:
        accepted && first !== undefined && last !== undefined
          ? {
              artifacts: { materials: first.artifacts.materials, products: last.artifacts.products },
              command: last.command,
            }
          : undefined,
    };
  }

  #layoutReasons(
    metadata: SignedMetadata,
    { expires }: Layout,
    keys: readonly LayoutKey[],
    depth: number,
  ): LayoutReason[] {
    const reasons: LayoutReason[] = [];
    if (keys.length === 0)
      reasons.push(because('layout-signature', 'no key is given that must have signed the layout'));
    for (const key of keys) {
      if (hasSigned(metadata, key)) continue;
      const why = key.unusable ?? 'it has no signature by it that holds';
      reasons.push(because('layout-signature', `the layout must be signed by the key ${shownId(key.keyId)}: ${why}`));
    }
    if (this.#options.now > expires) {
      reasons.push(because('layout-expired', `the layout was valid until ${timeText(expires)}`));
    }
    if (depth > MAX_SUBLAYOUTS) {
      reasons.push(because('limit', `there are more than ${MAX_SUBLAYOUTS} layouts inside of each other`));
    }
    return reasons;
  }

  #step(step: Step, layout: Layout, folder: LinkFolder, path: string, depth: number) {
    const counted = new Map<string, CountedLink>();
    const reasons: LayoutReason[] = [];
    const judged: JudgedLink[] = [];
    for (const file of folder.linksOf(step.name)) {
      // Files are read one after the other: together they may be more than the memory.
      const bytes = file.read();
      const limit = this.#charge(bytes);
      if (limit !== undefined) {
        reasons.push(limit);
        break;
      }
      const { link, found, ignored } = this.#link(file, bytes, step, layout, folder, path, depth);
      judged.push(link);
      if (ignored) continue;
      if (found === undefined) {
        reasons.push(...link.reasons.map(({ code, message }) => because(code, `${link.file}: ${message}`)));
        continue;
      }
      const fingerprint = keyFingerprint(found.key.info!);
      const same = counted.get(fingerprint);
      if (same === undefined) counted.set(fingerprint, found);
      else
        reasons.push(
          because('same-key', `the keys ${shownId(same.key.keyId)} and ${shownId(found.key.keyId)} are one`),
        );
    }
    const links = [...counted.values()];
    reasons.push(...this.#countReasons(step, links));
    const expected = step.expectedCommand.join(' ');
    const warnings = links
      .filter(({ command }) => command.join(' ') !== expected)
      .map(({ command, key }) => {
        const ran = printable(command.join(' ').slice(0, 200));
        return `the layout expects the command "${printable(expected.slice(0, 200))}", and the key ${shownId(key.keyId)} says "${ran}"`;
      });
    const result: JudgedStep = {
      name: step.name,
      threshold: step.threshold,
      holds: reasons.length === 0,
      links: judged,
      reasons,
      warnings,
    };
    return { step, links, result };
  }

  #countReasons({ threshold }: Step, links: readonly CountedLink[]): LayoutReason[] {
    if (links.length < threshold) {
      const why = `${links.length} of ${threshold} functionaries have signed a link that holds`;
      return [because('threshold', why)];
    }
    const [first, ...others] = links;
    return others
      .filter(({ artifacts: { materials, products } }) => {
        return (
          !sameArtifacts(materials, first!.artifacts.materials) || !sameArtifacts(products, first!.artifacts.products)
        );
      })
      .map(({ key }) =>
        because('links-differ', `the links of the keys ${shownId(first!.key.keyId)} and ${shownId(key.keyId)} differ`),
      );
  }

  #link(
    file: LinkFile,
    bytes: Uint8Array,
    step: Step,
    layout: Layout,
    folder: LinkFolder,
    path: string,
    depth: number,
  ) {
    const read = readOr(bytes, 'link-format');
    const base = { file: `${path}${file.name}`, digest: read.digest };
    const refused = (ignored: boolean, reasons: readonly LayoutReason[], more: Partial<JudgedLink> = {}) => {
      const link: JudgedLink = { ...more, ...base, holds: false, reasons };
      return { link, found: undefined, ignored };
    };
    const { metadata } = read;
    if ('code' in metadata) return refused(true, [metadata]);
    const key = functionaryOf(metadata, file.name, step, layout);
    if (typeof key === 'string') return refused(true, [because('link-signature', key)]);
    const { keyId } = key;
    const { payload } = metadata;
    if (payload.kind === 'layout') {
      const below = `${step.name}.${keyId.slice(0, 8)}`;
      const { verdict, summary } = this.#layout(metadata, [key], folder.below(below), `${path}${below}/`, depth + 1);
      const link: JudgedLink = { ...base, keyId, holds: summary !== undefined, reasons: [], sublayout: verdict };
      if (summary !== undefined) return { link, found: { ...summary, key }, ignored: false };
      return refused(false, [because('sublayout', 'the layout in the place of the link does not hold')], link);
    }
    const reasons = linkReasons(payload, step);
    const unlogged = this.#options.unlogged?.(file, payload, key);
    if (unlogged !== undefined) reasons.push(because('not-logged', unlogged));
    if (reasons.length > 0) return refused(false, reasons, { keyId });
    const artifacts = { materials: new Map(payload.materials), products: new Map(payload.products) };
    const link: JudgedLink = { ...base, keyId, holds: true, reasons };
    return { link, found: { key, artifacts, command: payload.command }, ignored: false };
  }

  #charge(bytes: Uint8Array): LayoutReason | undefined {
    this.#files += 1;
    this.#bytes += bytes.length;
    if (this.#files > MAX_FILES) return because('limit', `there are more than ${MAX_FILES} files of links`);
    if (this.#bytes > MAX_BYTES) return because('limit', `the files of links have more than ${MAX_BYTES} bytes`);
    return undefined;
  }

  #brokenRules(step: Step, steps: ReadonlyMap<string, StepArtifacts>): LayoutReason[] {
    const own = steps.get(step.name)!;
    try {
      return [
        applyRules(step.materialRules, 'materials', own, steps, this.#budget),
        applyRules(step.productRules, 'products', own, steps, this.#budget),
      ].filter((broken) => broken !== undefined);
    } catch (error) {
      if (!(error instanceof TooMuchMatching)) throw error;
      return [because('limit', `the rules take more than ${MAX_MATCHING} comparisons of characters`)];
    }
  }
}

/** The functionary whose signature the file's name promises, where it holds; else why it does not count. */
function functionaryOf(metadata: SignedMetadata, fileName: string, step: Step, { keys }: Layout): LayoutKey | string {
  const short = fileName.slice(step.name.length + 1, -'.link'.length);
  const keyId = metadata.signatures.find((one) => one.keyId.startsWith(short))?.keyId;
  if (keyId === undefined) return `it has no signature of a key id that begins with ${printable(short)}`;
  if (!step.pubkeys.includes(keyId)) return `the key ${shownId(keyId)} is no functionary of the step`;
  const key = keys.get(keyId);
  if (key === undefined) return `the layout has no key ${shownId(keyId)}`;
  if (key.unusable !== undefined) return `the key ${shownId(keyId)} cannot be used: ${key.unusable}`;
  return hasSigned(metadata, key) ? key : `the signature by the key ${shownId(keyId)} does not hold`;
}

/** In a metablock the first signature of the key id counts; in DSSE any, also one without a key id. */
function hasSigned({ form, signatures, signed }: SignedMetadata, key: LayoutKey): boolean {
  const named = signatures.filter(({ keyId }) => keyId === key.keyId || (form === 'dsse' && keyId === ''));
  const tried = named.slice(0, form === 'dsse' ? MAX_TRIES : 1);
  return tried.some(({ signature }) => verifyLayoutSignature(key, signed, signature));
}

function linkReasons({ name, materials, products }: Link, step: Step): LayoutReason[] {
  const reasons: LayoutReason[] = [];
  if (name !== step.name) {
    reasons.push(because('link-name', `the link is of the step "${printable(name.slice(0, 100))}"`));
  }
  for (const [kind, artifacts] of Object.entries({ materials, products })) {
    const why = unclear(artifacts);
    if (why !== undefined) reasons.push(because('link-artifacts', `${kind}: ${why}`));
  }
  return reasons;
}

/** Such artifacts would match others of any content, or one of two at random. */
function unclear(artifacts: Artifacts): string | undefined {
  const names = new Map<string, string>();
  for (const [name, hashes] of artifacts) {
    const shown = printable(name.slice(0, 200));
    if (Object.keys(hashes).length === 0) return `"${shown}" has no hash`;
    const clean = cleanName(name);
    const same = names.get(clean);
    if (same !== undefined) return `"${printable(same.slice(0, 200))}" and "${shown}" are one name`;
    names.set(clean, name);
  }
  return undefined;
}

type Read = { readonly digest: string; readonly metadata: SignedMetadata | LayoutReason };

function readOr(bytes: Uint8Array, code: LayoutReasonCode): Read {
  try {
    const metadata = readMetadata(bytes);
    return { digest: metadata.digest, metadata };
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    const reason = error instanceof UnverifiableLayout ? error.reason : code;
    return { digest: digestOfFile(bytes), metadata: because(reason, error.message) };
  }
}

function refusedLayout(reasons: readonly LayoutReason[]) {
  return { accepted: false, steps: [], reasons };
}

function because(code: LayoutReasonCode, message: string): LayoutReason {
  return { code, message };
}

function shownId(keyId: string): string {
  return printable(keyId.slice(0, 64));
}
