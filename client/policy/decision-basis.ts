/**
 * What decisions are made by: a policy, and the trust. As plain bytes, it goes to threads, and its digest names it. `opened`,
 * it decides, and remembers evidence that it has verified.
 */
import { createHash } from 'node:crypto';
import { encodeHex } from '../../merkle/bytes.ts';
import { nodePrimitives } from '../../merkle/runtime/crypto/node-primitives.ts';
import { decide, deny } from '../../merkle/runtime/policy/decide.ts';
import { loadDecisionPolicy } from '../../merkle/runtime/policy/load-policy.ts';
import { reason } from '../../merkle/runtime/policy/reasons.ts';
import type { Artifact, Decision, DecisionPolicy, EvidenceItem } from '../../merkle/runtime/policy/types.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { timeText } from '../../merkle/x509/utc-time.ts';
import { usage } from '../errors.ts';
import { parseLastCheckpoint } from '../trust/last-checkpoint.ts';
import { parseLogKey } from '../trust/log-key.ts';
import { parseTrustPolicy } from '../trust/quorum.ts';
import { parseSpiffeBundles, type SpiffeBundleFile } from '../trust/spiffe-bundles.ts';
import { parseTrustedRoots } from '../trust/trusted-root.ts';
import { CheckpointMemory } from '../verify/checkpoint-memory.ts';
import type { ArtifactDigests } from '../verify/content.ts';
import { type EvidenceTrust, readEvidence, verifyBundles } from './check-evidence.ts';

/** The files, and what is asked of the evidence. */
export interface DecisionBasis extends TrustBasis {
  /** `file` names the policy in messages, and is the base of relative paths in it. */
  readonly policy: { readonly file: string; readonly bytes: Uint8Array };
  /** The files of keys that the policy names, by their absolute paths. */
  readonly keyFiles: Readonly<Record<string, string>>;
}

/** The part about trust. */
export interface TrustBasis {
  readonly trustedRoot?: Uint8Array | undefined;
  /** A c2sp.org/tlog-policy. */
  readonly quorumPolicy?: Uint8Array | undefined;
  readonly logKey?: string | undefined;
  /** Files of SPIFFE trust bundles; see `parseSpiffeBundles`. */
  readonly spiffeBundles?: readonly SpiffeBundleFile[] | undefined;
  readonly lastCheckpoints?: readonly Uint8Array[] | undefined;
  /** The last millisecond since 1970 at which this trust may be used: later, every decision is deny. Default: no end. */
  readonly usableUntil?: number | undefined;
  readonly asked?: Pick<
    EvidenceTrust,
    'requireSct' | 'ignoreSct' | 'requireLogs' | 'requireTimestamps' | 'witnessTime'
  >;
}

/** A piece in a request: its bytes may be known already. */
export interface NamedPiece {
  readonly source: string;
  /** SHA-256 of the bytes, hex. */
  readonly digest: string;
  readonly bytes?: Uint8Array;
}

/** Bytes of pieces whose evidence is remembered. */
const MAX_REMEMBERED = 64 * 1024 * 1024;
/** What a piece takes beside its bytes. */
const PIECE_OVERHEAD = 4096;
/** May hold at another time. */
const PASSING: readonly string[] = ['future-time', 'internal'];

/** Names everything in `basis`: two that differ in anything have different names. */
export function versionsOf({ policy, keyFiles, trustedRoot, quorumPolicy, logKey, ...more }: DecisionBasis): string {
  const hash = (bytes: Uint8Array | string | undefined) =>
    bytes === undefined ? null : createHash('sha256').update(bytes).digest('hex');
  const { lastCheckpoints = [], spiffeBundles = [], asked = {}, usableUntil = null } = more;
  const parts = {
    policy: [policy.file, hash(policy.bytes)],
    keyFiles: Object.entries(keyFiles).sort(([a], [b]) => (a < b ? -1 : 1)),
    trust: [hash(trustedRoot), logKey ?? null, lastCheckpoints.map(hash), usableUntil],
    quorum: hash(quorumPolicy),
    spiffe: spiffeBundles.map(({ trustDomain = null, bytes }) => [trustDomain, hash(bytes)]),
    asked: Object.entries(asked).sort(([a], [b]) => (a < b ? -1 : 1)),
  };
  return hash(JSON.stringify(parts))!;
}

/**
 * @param loaded the policy, where it is loaded already
 * @throws RuntimeError `decision-policy`; ClientError `trusted-root`, `spiffe-bundle`, `policy`, `log-key`, `trust`, `usage`
 */
export async function openBasis(
  basis: DecisionBasis,
  loaded?: DecisionPolicy,
): Promise<{ readonly policy: DecisionPolicy; readonly trust: EvidenceTrust }> {
  const { policy, keyFiles } = basis;
  const readKey = (path: string, name: string): string => {
    if (Object.hasOwn(keyFiles, path)) return keyFiles[path]!;
    throw new RuntimeError('file', `${name} was not read`);
  };
  const trust = openTrust(basis);
  return { policy: loaded ?? (await loadDecisionPolicy(policy.bytes, { file: policy.file, readKey })), trust };
}

/** @throws ClientError `trusted-root`, `spiffe-bundle`, `policy`, `log-key`, `trust`, `usage` */
export function openTrust({
  trustedRoot,
  quorumPolicy,
  logKey,
  lastCheckpoints = [],
  spiffeBundles,
  asked,
}: TrustBasis): EvidenceTrust {
  const quorum = quorumPolicy === undefined ? undefined : parseTrustPolicy(quorumPolicy);
  if (asked?.witnessTime === true && quorum?.quorum === undefined) {
    throw usage('--witness-time needs a --quorum-policy with a quorum of witnesses');
  }
  return {
    trustedRoot: trustedRoot === undefined ? undefined : parseTrustedRoots(trustedRoot),
    policy: quorum,
    logKey: logKey === undefined ? undefined : parseLogKey(logKey),
    lastCheckpoints: lastCheckpoints.map(parseLastCheckpoint),
    ...(spiffeBundles === undefined ? {} : { spiffeBundles: parseSpiffeBundles(spiffeBundles) }),
    ...asked,
  };
}

export class OpenedBasis {
  readonly policy: DecisionPolicy;
  readonly #trust: EvidenceTrust;
  readonly #usableUntil: number;
  readonly #primitives = nodePrimitives();
  readonly #remembered = new Map<string, { readonly items: readonly EvidenceItem[]; readonly size: number }>();
  #size = 0;

  private constructor(policy: DecisionPolicy, trust: EvidenceTrust, usableUntil = Number.POSITIVE_INFINITY) {
    this.#usableUntil = usableUntil;
    this.policy = policy;
    this.#trust = trust;
  }

  /** @throws as `openBasis` */
  static async open(basis: DecisionBasis): Promise<OpenedBasis> {
    const { policy, trust } = await openBasis(basis);
    return new OpenedBasis(policy, { ...trust, memory: new CheckpointMemory() }, basis.usableUntil);
  }

  /** @returns the digests of pieces whose bytes are needed and not there, in the place of a decision */
  decide(artifact: Artifact, pieces: readonly NamedPiece[], now: number): Decision | readonly string[] {
    if (now > this.#usableUntil) {
      const why = `the followed trust could be used until ${timeText(this.#usableUntil)}: run \`stele trust update\``;
      return deny(this.policy, artifact, now, [reason('trust', why)]);
    }
    const about = JSON.stringify(Object.entries(artifact.digest).sort(([a], [b]) => (a < b ? -1 : 1)));
    const missing: string[] = [];
    const evidence = pieces.flatMap((piece) => {
      const items = this.#itemsOf(artifact, about, piece, now);
      if (items === undefined) missing.push(piece.digest);
      return items ?? [];
    });
    return missing.length > 0 ? missing : decide(this.policy, artifact, evidence, now);
  }

  #itemsOf(artifact: Artifact, about: string, piece: NamedPiece, now: number): readonly EvidenceItem[] | undefined {
    const { source, digest, bytes } = piece;
    const key = `${about}\0${digest}\0${source}`;
    const known = this.#remembered.get(key);
    if (known !== undefined) {
      // The least used stands first.
      this.#remembered.delete(key);
      this.#remembered.set(key, known);
      return known.items;
    }
    if (bytes === undefined) return undefined;
    const bundles = readEvidence([{ source, bytes }], this.#primitives);
    const digests = digestsOf(artifact);
    const items = verifyBundles(bundles, digests, this.#trust, this.policy, now, this.#primitives);
    if (!items.some((item) => 'code' in item && PASSING.includes(item.code))) this.#remember(key, items, bytes.length);
    return items;
  }

  #remember(key: string, items: readonly EvidenceItem[], bytes: number): void {
    const size = bytes + PIECE_OVERHEAD;
    this.#remembered.set(key, { items, size });
    this.#size += size;
    for (const [oldest, { size: freed }] of this.#remembered) {
      if (this.#size <= MAX_REMEMBERED || oldest === key) return;
      this.#remembered.delete(oldest);
      this.#size -= freed;
    }
  }
}

function digestsOf({ digest }: Artifact): ArtifactDigests {
  const known = Object.entries(digest).filter(([hash]) => ['sha256', 'sha384', 'sha512'].includes(hash));
  return Object.fromEntries(known.map(([hash, hex]) => [hash, Uint8Array.from(Buffer.from(hex, 'hex'))]));
}

/** SHA-256 of the bytes of a piece, which do not change. */
export function digestOfPiece(bytes: Uint8Array): string {
  let digest = digests.get(bytes);
  if (digest === undefined) {
    digest = encodeHex(createHash('sha256').update(bytes).digest());
    digests.set(bytes, digest);
  }
  return digest;
}

const digests = new WeakMap<Uint8Array, string>();
