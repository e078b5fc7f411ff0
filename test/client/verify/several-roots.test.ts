/** Several trusted roots: each is a trust domain of its own, and all evidence of a bundle holds under one of them. */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { verifyMany } from '../../../client/verify/many/verify-many.ts';
import {
  type BundleRequest,
  parseBundle,
  parseTrustedRoot,
  parseTrustedRoots,
  verifyBundle,
} from '../../../client/verify.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { newKeys } from '../../merkle/x509/make.ts';
import { Instance, type Json, OWN_IDENTITY, OWN_ISSUER, signedBy } from '../../support/instance.ts';
import { tempDir } from '../../support/log.ts';
import { stele, steleJson } from '../../support/serve.ts';
import { code } from './verify-parts.ts';

const FILE = Buffer.from('an artifact of two instances\n');
const digest = createHash('sha256').update(FILE).digest();
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const lines = (...roots: Json[]) => Buffer.from(roots.map((root) => `${JSON.stringify(root)}\n`).join(''));

const a = new Instance('a.example');
const b = new Instance('b.example');

/** The instance that gives each part of the evidence. */
interface Parts {
  readonly ca?: Instance;
  readonly ctLog?: ReturnType<typeof newKeys>;
  readonly log?: Instance;
  readonly time?: Instance;
}

/** A bundle of the instance B, apart from what `parts` names. */
function bundleOf({ ca = b, ctLog = b.ctLog, log = b, time = b }: Parts): Buffer {
  const signer = ca.signer({ ctLog });
  const signature = signedBy(signer, FILE);
  const { integratedTime: _, ...entry } = log.logged2(digest, signature, signer);
  return Buffer.from(
    JSON.stringify({
      mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      verificationMaterial: {
        certificate: { rawBytes: base64(signer.certificate) },
        tlogEntries: [entry],
        timestampVerificationData: { rfc3161Timestamps: [{ signedTimestamp: base64(time.stamp(signature)) }] },
      },
      messageSignature: {
        messageDigest: { algorithm: 'SHA2_256', digest: base64(digest) },
        signature: base64(signature),
      },
    }),
  );
}

const identity = { identity: OWN_IDENTITY, issuer: OWN_ISSUER };
const request = (bundle: Uint8Array, file: Uint8Array, change: Partial<BundleRequest> = {}): BundleRequest => ({
  bundle: parseBundle(bundle),
  artifact: { sha256: digest },
  identity,
  trustedRoot: parseTrustedRoots(file),
  ...change,
});
const outcome = (bundle: Uint8Array, ...roots: Json[]) =>
  verifyBundle(request(bundle, lines(...roots)), nodePrimitives());
const refusal = (bundle: Uint8Array, ...roots: Json[]) => code(() => outcome(bundle, ...roots));

const [rootA, rootB] = [a.trustedRoot(), b.trustedRoot()];
/** What trust in A and B without a border would be. */
const merged = Object.fromEntries(
  Object.entries(rootA).map(([name, value]) => [name, Array.isArray(value) ? [...value, ...rootB[name]] : value]),
);

describe('a bundle under several trusted roots', () => {
  const whole = bundleOf({});

  it('verifies under the one that vouches for all of it, and names that root', () => {
    expect(outcome(whole, rootA, rootB).trustedRoot).toEqual({ index: 1, line: 2 });
    expect(outcome(whole, rootB, rootA).trustedRoot).toEqual({ index: 0, line: 1 });
    const one = outcome(whole, rootB);
    expect(one).not.toHaveProperty('trustedRoot');
    const { trustedRoot: _, ...same } = outcome(whole, rootA, rootB);
    expect(same).toEqual(one);
    const given = [rootA, rootB].map((root) => parseTrustedRoot(Buffer.from(JSON.stringify(root))));
    const { trustedRoot } = verifyBundle(request(whole, lines(rootA), { trustedRoot: given }), nodePrimitives());
    expect(trustedRoot).toEqual({ index: 1 });
  });

  it.each<[string, Parts, string]>([
    ['the log', { log: a }, 'bad-timestamp'],
    ['the time stamp', { time: a }, 'bad-timestamp'],
    ['the certificate', { ca: a, ctLog: a.ctLog }, 'bad-certificate'],
    ['the promise of a certificate-transparency log', { ctLog: a.ctLog }, 'bad-sct'],
  ])('is refused where %s is of another root than the rest', (_, parts, why) => {
    const mixed = bundleOf(parts);
    expect(refusal(mixed, merged)).toBe('accepted');
    expect(refusal(mixed, rootA, rootB)).toBe(why);
    expect(refusal(mixed, rootB, rootA)).toBe(why);
  });

  it('gets no leniency from a root that names no certificate-transparency log', () => {
    const unlogged = bundleOf({ ctLog: newKeys() });
    // The first root even has the log and the time stamps; only the certificate authority is another.
    const lax = { ...rootB, certificateAuthorities: rootA.certificateAuthorities, ctlogs: [] };
    expect(refusal(unlogged, rootB)).toBe('bad-sct');
    expect(refusal(unlogged, lax, rootB)).toBe('bad-sct');
    expect(refusal(unlogged, lax)).toBe('bad-certificate');
  });

  it('gets the error of the root under which it came furthest, with its line', () => {
    const message = (bundle: Uint8Array, ...roots: Json[]) => {
      try {
        outcome(bundle, ...roots);
      } catch (error) {
        return (error as ClientError).message;
      }
      return 'accepted';
    };
    const third = new Instance('c.example').trustedRoot();
    const mixed = bundleOf({ ctLog: a.ctLog });
    expect(message(mixed, third, rootB, rootA)).toMatch(
      /^it holds under none of the 3 trusted roots\. Under the one on line 2, which came furthest: /,
    );
    expect(message(mixed, rootB)).not.toContain('trusted roots');
    // The same under every root.
    const changed = { artifact: { sha256: new Uint8Array(32) } };
    const wrong = request(whole, lines(rootA, rootB), changed);
    expect(() => verifyBundle(wrong, nodePrimitives())).toThrow(ClientError);
    expect(() => verifyBundle(wrong, nodePrimitives())).not.toThrow(/trusted roots/);
    expect(code(() => verifyBundle({ ...wrong, trustedRoot: [] }, nodePrimitives()))).toBe('usage');
  });

  it('is verified so in threads', async () => {
    const requests = [bundleOf({}), bundleOf({ ca: a, ctLog: a.ctLog, log: a, time: a }), bundleOf({ log: a })].map(
      (bundle) => ({ bundle, artifact: { sha256: digest } }),
    );
    const results = [];
    for await (const result of verifyMany(requests, { trustedRoot: lines(rootA, rootB), identity, threads: 1 })) {
      results.push(result.ok ? result.outcome.trustedRoot : result.code);
    }
    expect(results).toEqual([{ index: 1, line: 2 }, { index: 0, line: 1 }, 'bad-timestamp']);
  });
});

describe('a file of several trusted roots', () => {
  const refused = (file: Uint8Array): string => {
    try {
      parseTrustedRoots(file);
    } catch (error) {
      if (error instanceof ClientError) return `${error.code}: ${error.message}`;
      throw error;
    }
    return 'accepted';
  };

  it('has JSON lines, or JSON objects one after another', () => {
    const pretty = [rootA, rootB].map((root) => JSON.stringify(root, undefined, 2));
    const long = pretty[0]!.split('\n').length;
    const starts = (text: string) => parseTrustedRoots(Buffer.from(text)).map(({ line }) => line);
    expect(starts(pretty.join('\n'))).toEqual([1, long + 1]);
    expect(starts(pretty.join(''))).toEqual([1, long]);
    expect(starts(`\n${pretty.join('\n\n')}\n`)).toEqual([2, long + 3]);
    expect(starts(`${JSON.stringify(rootA)}\r\n\r\n${JSON.stringify(rootB)}\r\n`)).toEqual([1, 3]);
    expect(starts(pretty[0]!)).toEqual([undefined]);
  });

  it('has at most 16, and one that is wrong is named', () => {
    expect(refused(lines(...Array(16).fill(rootA)))).toBe('accepted');
    expect(refused(lines(...Array(17).fill(rootA)))).toMatch(/^trusted-root: .*more than 16/);
    const pretty = JSON.stringify(rootA, undefined, 1);
    expect(refused(Buffer.from(pretty.repeat(17)))).toMatch(/^trusted-root: .*more than 16/);
    expect(refused(lines(rootA, { ...rootB, tlogs: 3 }, rootB))).toMatch(/^trusted-root: .*on line 2 .*tlogs/);
    expect(refused(Buffer.concat([lines(rootA), Buffer.from('not JSON\n')]))).toMatch(/^trusted-root: .*on line 2 /);
    expect(refused(Buffer.from(`${pretty}\nnot JSON`))).toMatch(/^trusted-root: /);
    expect(refused(Buffer.alloc(4 * 1024 * 1024 + 1, ' '))).toMatch(/^trusted-root: /);
  });

  it('is not one trusted root', () => {
    expect(() => parseTrustedRoot(lines(rootA, rootB))).toThrow(
      /it holds 2 trusted roots, and this needs a file with one/,
    );
  });
});

describe('stele verify with several trusted roots', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  beforeAll(async () => {
    dir = await tempDir();
  });
  afterAll(() => dir.remove());

  it('says which of them vouches', async () => {
    const at = (name: string) => join(dir.path, name);
    await writeFile(at('roots.jsonl'), lines(rootA, rootB));
    const whose = ['--identity', OWN_IDENTITY, '--issuer', OWN_ISSUER, '--trusted-root', at('roots.jsonl')];
    const all = {
      of1: bundleOf({ ca: a, ctLog: a.ctLog, log: a, time: a }),
      of2: bundleOf({}),
      mixed: bundleOf({ log: a }),
    };
    for (const [name, bundle] of Object.entries(all)) {
      await writeFile(at(name), FILE);
      await writeFile(at(`${name}.sigstore.json`), bundle);
    }
    const one = await stele(['verify', at('of2'), ...whose]);
    expect(one.stdout).toMatch(/trusted root +the one on line 2 of its file/);
    expect(await steleJson(['verify', at('of1'), ...whose])).toMatchObject({ trustedRoot: { index: 0, line: 1 } });
    const many = await stele(['verify', at('of1'), at('of2'), at('mixed'), ...whose]);
    expect(many.code).toBe(1);
    expect(many.stdout).toMatch(/OK .*of2: .*under the trusted root the one on line 2/);
    expect(many.stdout).toMatch(/REFUSED .*mixed: \[bad-timestamp\] it holds under none of the 2 trusted roots/);
  });
});
