import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { formatBundle, parseBundle } from '../../../client/formats/bundle.ts';
import { parsePublicKeyPem } from '../../../client/formats/key.ts';
import { type BundleRequest, parseTrustedRoot, requiredHashes, verifyBundle } from '../../../client/verify.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { type BundleCases, bundleCases } from '../../support/vectors.ts';
import {
  attestation,
  digestsOf,
  messageBundle,
  policyOf,
  rootJson,
  testKey,
  testWitness,
  text,
  witnessed,
} from './verify-parts.ts';

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Path = readonly (string | number)[];
type Trust = Omit<BundleRequest, 'bundle' | 'artifact'>;

interface Case {
  readonly name: string;
  readonly json: Json;
  readonly file: Uint8Array;
  readonly trust: Trust;
}

/**
 * What a bundle may lose or have changed without becoming another: each with the reason. A path is matched as text, and
 * `how` is what was done to it.
 */
const IRRELEVANT: readonly {
  readonly path: RegExp;
  readonly how?: RegExp;
  readonly only?: RegExp;
  readonly why: string;
}[] = [
  { path: /^verificationMaterial\.publicKey\.hint$/, why: 'a hint for finding the key; whose it is, the caller says' },
  { path: /^dsseEnvelope\.signatures\.0\.keyid$/, why: 'a hint as well; no signature covers it' },
  {
    path: /^messageSignature\.messageDigest$/,
    how: /drop/,
    why: 'the digest is taken from the file, not from the bundle',
  },
  {
    path: /\.(integratedTime|hashes)$/,
    how: /drop/,
    only: /own/,
    why: 'proto3 JSON leaves out what is 0 or empty: the same bundle',
  },
  {
    path: /^verificationMaterial\.timestampVerificationData(\.rfc3161Timestamps(\.0)?)?$/,
    how: /drop/,
    only: /managed-key/,
    why: 'a key needs no time: less evidence, and the outcome says so',
  },
  {
    path: /\.checkpoint\.envelope$/,
    how: /change [12]/,
    only: /rekor2-checkpoint-/,
    why: 'the signature of a witness that nobody here knows',
  },
  {
    path: /\.signedTimestamp$/,
    how: /change 1/,
    only: /rekor2-(checkpoint-multiple-cosigs|timestamp-with-embedded-cert)/,
    why: "a copy of the authority's certificate, which no signature covers; the trusted root's own is used",
  },
  {
    path: /\.inclusionProof(\.checkpoint(\.envelope)?)?$/,
    how: /drop|empty/,
    only: /trust-root-tlog-validity/,
    why: 'in v0.1 a promise suffices: less evidence, and the outcome says so',
  },
  {
    path: /^mediaType$/,
    how: /swap/,
    only: /managed-key/,
    why: 'it has what each of the versions asks for, and means the same in all',
  },
];

const GOOD = [
  'happy-path-intoto-in-dsse-v3',
  'happy-path-v0.3-new-mediaType',
  'managed-key-happy-path',
  'managed-key-and-trusted-root',
  'rekor2-checkpoint-multiple-cosigs',
  'rekor2-timestamp-with-embedded-cert',
  'rekor2-timestamp-without-embedded-cert',
  'trust-root-tlog-validity-end-inclusive',
];
function caseOf(cases: BundleCases, name: string): Case {
  const { bundle, artifact, trustedRoot, key, identity, issuer } = cases.named(name);
  const who =
    key === undefined ? { identity: { identity, issuer } } : { key: parsePublicKeyPem(key, nodePrimitives()).info };
  return {
    name,
    json: JSON.parse(Buffer.from(bundle).toString()),
    file: artifact,
    trust: { trustedRoot: parseTrustedRoot(trustedRoot), ...who },
  };
}

async function witnessedCases(): Promise<[Case, Case]> {
  const [file, key, log, witness] = [text('hello'), testKey(), FakeLog.empty('log.example'), testWitness('w.example')];
  const trustedRoot = parseTrustedRoot(text(JSON.stringify(rootJson(log))));
  const trust = { trustedRoot, key: key.info, policy: policyOf([log.vkey], [witness], 1), witnessTime: true };
  const make = async (name: string, of: typeof messageBundle): Promise<Case> => {
    const bundle = formatBundle(await witnessed(of(file, key, log), [[witness, 1_700_000_000]]));
    return { name: `own ${name}`, json: JSON.parse(new TextDecoder().decode(bundle)), file, trust };
  };
  return [await make('message', messageBundle), await make('attestation', attestation)];
}

/** Every value in the tree, containers too. */
function* walk(value: Json, path: Path = []): Generator<[Path, Json]> {
  if (path.length > 0) yield [path, value];
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    yield* walk(inner, [...path, Array.isArray(value) ? Number(name) : name]);
  }
}

function at(json: Json, path: Path): Json | undefined {
  return path.reduce<Json | undefined>((inner, name) => (inner as { [name: string]: Json } | undefined)?.[name], json);
}

/** A copy with another value at the path; undefined takes the member or item away. */
function put(json: Json, path: Path, value: Json | undefined): Json {
  const copy = structuredClone(json);
  const name = path.at(-1)!;
  const parent = at(copy, path.slice(0, -1)) as { [name: string]: Json };
  if (value !== undefined) parent[name] = value;
  else if (Array.isArray(parent)) parent.splice(Number(name), 1);
  else delete parent[name];
  return copy;
}

function* mutations(json: Json, others: readonly Json[]): Generator<[string, Path, Json]> {
  for (const [path, value] of walk(json)) {
    yield ['drop', path, put(json, path, undefined)];
    if (Array.isArray(value)) {
      for (const item of value.slice(0, 3)) yield ['double an item', path, put(json, path, [...value, item])];
      if (value.length > 1) yield ['reverse', path, put(json, path, [...value].reverse())];
    }
    if (typeof value === 'string') {
      yield ['double', path, put(json, path, value + value)];
      yield ['empty', path, put(json, path, '')];
      // Beginning, middle and end.
      for (const [n, i] of [0, Math.floor(value.length / 2), value.length - 4].entries()) {
        const char = value[i];
        if (char === undefined || i < 0) continue;
        const other = /[0-8]/.test(char) ? String(Number(char) + 1) : char === 'A' ? 'B' : 'A';
        yield [`change ${n}`, path, put(json, path, value.slice(0, i) + other + value.slice(i + 1))];
      }
    }
    for (const other of others) {
      const theirs = at(other, path);
      if (theirs !== undefined) yield ['swap', path, put(json, path, theirs)];
    }
  }
}

function verify({ file, trust }: Case, json: Json): string {
  try {
    const bundle = parseBundle(text(JSON.stringify(json)));
    requiredHashes(bundle, trust.key);
    verifyBundle({ bundle, artifact: digestsOf(file), ...trust }, nodePrimitives());
    return 'accepted';
  } catch (error) {
    if (error instanceof ClientError) return error.code;
    throw error;
  }
}

function expectAllRefused(good: Case, others: readonly Json[]): void {
  expect(verify(good, good.json)).toBe('accepted');
  const original = JSON.stringify(good.json);
  const accepted: string[] = [];
  let tried = 0;
  for (const [how, path, json] of mutations(good.json, others)) {
    if (JSON.stringify(json) === original) continue;
    tried++;
    if (verify(good, json) !== 'accepted') continue;
    const name = path.join('.');
    const known = IRRELEVANT.some(
      (one) =>
        one.path.test(name) && (one.how?.test(how) ?? true) && (one.only === undefined || one.only.test(good.name)),
    );
    if (!known) accepted.push(`${how}: ${name}`);
  }
  expect(accepted).toEqual([]);
  expect(tried).toBeGreaterThan(80);
}

describe('each field of a good bundle, changed, dropped, doubled or swapped', () => {
  it('is refused or of no importance: bundles of our own, with witnesses', { timeout: 60_000 }, async () => {
    const [message, about] = await witnessedCases();
    const [other] = await witnessedCases();
    expectAllRefused(message, [about.json, other.json]);
    expectAllRefused(about, [message.json, other.json]);
  });
});

describe.each(bundleCases())('each field of a good bundle: %s', (cases) => {
  it.each(GOOD)('is refused or of no importance: %s', { timeout: 120_000 }, (name) => {
    const next = GOOD[(GOOD.indexOf(name) + 1) % GOOD.length]!;
    const others = [next, 'happy-path-v0.3-new-mediaType'].map((other) => caseOf(cases, other).json);
    expectAllRefused(caseOf(cases, name), others);
  });
});
