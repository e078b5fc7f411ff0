import { createHash, generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { formatBundle, parseBundle } from '../../../client/formats/bundle.ts';
import { parsePublicKeyPem } from '../../../client/formats/key.ts';
import {
  checkStatement,
  formatStatement,
  parseStatement,
  predicateType,
  statementPredicate,
} from '../../../client/formats/statement.ts';
import { attest, attestationBundle } from '../../../client/submit/attestation.ts';
import { preAuthEncoding } from '../../../merkle/rekor/dsse.ts';
import { PREDICATE_TYPES } from '../../../merkle/rekor/predicate-types.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { parseTlogProof } from '../../../merkle/tlog-proof.ts';
import { newKey } from '../../support/new-key.ts';
import { type Ran, type ServeProcess, startServer, stele } from '../../support/serve.ts';
import { skips } from '../../support/skip.ts';
import { NO_SOFTHSM, type SoftHsm, startSoftHsm } from '../../support/softhsm.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);
const sha256 = (text: string) => Uint8Array.from(createHash('sha256').update(text).digest());
const subject = { name: 'app.tgz', sha256: sha256('hello') };
const no = (code: string, text = '') => expect.objectContaining({ code, message: expect.stringContaining(text) });

describe('preAuthEncoding', () => {
  it('is that of the protocol, with lengths in bytes', () => {
    const text = (type: string, payload: string) => new TextDecoder().decode(preAuthEncoding(type, utf8(payload)));
    expect(text('http://example.com/HelloWorld', 'hello world')).toBe(
      'DSSEv1 29 http://example.com/HelloWorld 11 hello world',
    );
    expect(text('é', 'ü')).toBe('DSSEv1 2 é 2 ü');
  });
});

describe('statements', () => {
  it('hold the predicate as it was written', () => {
    const predicate = '{ "n": 1.00000000000000000001, "big": 12345678901234567890 }';
    const text = new TextDecoder().decode(formatStatement([subject], 'https://example.com/v1', utf8(`${predicate}\n`)));
    expect(text).toContain(`"predicate":${predicate}}`);
    expect(JSON.parse(text)).toMatchObject({
      _type: 'https://in-toto.io/Statement/v1',
      predicateType: 'https://example.com/v1',
      subject: [{ name: 'app.tgz', digest: { sha256: Buffer.from(subject.sha256).toString('hex') } }],
    });
    expect(parseStatement(utf8(text)).subjects[0]!.digest.get('sha256')).toBe(
      Buffer.from(subject.sha256).toString('hex'),
    );
  });

  it.each(['', 'hello', '[]', '1', 'null', '{"a":1,"a":2}', '{"a":', '{} {}', '\u0000'])(
    'take no predicate %j',
    (text) => {
      expect(() => formatStatement([subject], 'https://example.com/v1', utf8(text))).toThrow(no('statement'));
    },
  );

  it('know short names, and take URIs', () => {
    for (const [name, uri] of PREDICATE_TYPES) {
      expect(predicateType(name)).toBe(uri);
      expect(predicateType(uri)).toBe(uri);
    }
    // What cosign means by these names. Other names of Stele have other types.
    expect(predicateType('slsaprovenance')).toBe(predicateType('slsaprovenance02'));
    expect(predicateType('slsaprovenance')).toBe('https://slsa.dev/provenance/v0.2');
    expect(predicateType('link')).toBe('https://in-toto.io/Link/v1');
    expect(predicateType('vuln')).toBe('https://cosign.sigstore.dev/attestation/vuln/v1');
    expect(predicateType('vulns')).toBe('https://in-toto.io/attestation/vulns/v0.2');
    for (const wrong of ['', 'slsa', 'SPDX', 'no uri:', 'https://a b', 'urn:\u001b[2J']) {
      expect(() => predicateType(wrong), wrong).toThrow(no('usage', 'slsaprovenance1, spdx, spdxjson, cyclonedx'));
    }
  });

  const good = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ digest: { sha256: 'ab' } }],
    predicateType: 'urn:x',
  };
  it.each([
    ['another type', { ...good, _type: 'https://in-toto.io/Statement/v2' }],
    ['no subject', { ...good, subject: [] }],
    ['a subject without a digest', { ...good, subject: [{ name: 'a', digest: {} }] }],
    ['no digest at all', { ...good, subject: [{ name: 'a' }] }],
    ['a digest that is no text', { ...good, subject: [{ digest: { sha256: 'ab', x: 1 } }] }],
    ['a predicate type that is no URI', { ...good, predicateType: 'provenance' }],
    ['a digest that is not hex', { ...good, subject: [{ digest: { sha256: 'AB' } }] }],
    ['a name that is no text', { ...good, subject: [{ name: 1, digest: { sha256: 'ab' } }] }],
    ['no predicate type', { ...good, predicateType: undefined }],
    ['a predicate that is no object', { ...good, predicate: [] }],
    ['a predicate that is a text', { ...good, predicate: 'SPDXVersion: SPDX-2.3' }],
    [
      'a text of a type that only begins like SPDX',
      { ...good, predicateType: 'https://spdx.dev/Documents', predicate: '' },
    ],
    ['an SPDX predicate that is a number', { ...good, predicateType: 'https://spdx.dev/Document', predicate: 1 }],
    ['a list', [good]],
    ['a predicate type that is a number', { ...good, predicateType: 1 }],
    ['subjects that are an object', { ...good, subject: {} }],
    ['65,537 subjects', { ...good, subject: Array(65_537).fill(good.subject[0]) }],
    [
      'a million annotations of a subject',
      { ...good, subject: [{ ...good.subject[0], annotations: Array(1_048_576).fill(0) }] },
    ],
    ['a nesting of 257', JSON.parse(`{"a":${'['.repeat(256)}${']'.repeat(256)}}`)],
  ])('are refused with %s', (_, json) => {
    expect(() => checkStatement(utf8(JSON.stringify(good)))).not.toThrow();
    expect(() => checkStatement(utf8(JSON.stringify(json)))).toThrow(no('statement'));
    expect(() => parseStatement(utf8(JSON.stringify(json)))).toThrow(no('malformed'));
  });

  it.each([
    ['v0.1', { ...good, _type: 'https://in-toto.io/Statement/v0.1' }],
    ['no predicate', good],
    ['a predicate that is null', { ...good, predicate: null }],
    ['an SPDX predicate that is a text', { ...good, predicateType: 'https://spdx.dev/Document', predicate: 'SPDX…' }],
    ['a name that is null', { ...good, subject: [{ name: null, digest: { sha256: 'ab' } }] }],
    [
      'a digest of an unknown algorithm in base64',
      { ...good, subject: [{ digest: { sha256: 'ab', fsverity: 'A+/=' } }] },
    ],
    ['a digest in upper case of an algorithm that nobody checks', { ...good, subject: [{ digest: { sha1: 'AB' } }] }],
    ['fields that the specification does not name', { ...good, x: 1, subject: [{ ...good.subject[0], y: [] }] }],
    ['20,000 subjects', { ...good, subject: Array(20_000).fill(good.subject[0]) }],
    ['a predicate of 31 MiB', { ...good, predicate: { text: 'x'.repeat(31 * 1024 * 1024) } }],
    ['a predicate of two million values', { ...good, predicate: { list: Array(2_000_000).fill(0) } }],
  ])('are read alike for signing and for verifying, with %s', (_, json) => {
    const bytes = utf8(JSON.stringify(json));
    expect(checkStatement(bytes)).toEqual(parseStatement(bytes));
  });
});

it('predicates are read with every digit of their numbers, and none is the same as an empty one', () => {
  const of = (predicate: string) =>
    statementPredicate(
      utf8(
        `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"ab"}}],"predicateType":"urn:x"${predicate}}`,
      ),
    );
  expect(of(',"predicate": {"size":9007199254740993,"part":0.5}')).toEqual({ size: 9007199254740993n, part: 0.5 });
  expect(of('')).toEqual({});
  expect(of(',"predicate":null')).toEqual({});
  expect(() => of(',"predicate":{"size":1e999}')).toThrow(
    no('malformed', 'the statement.predicate has the number 1e999'),
  );
});

it('predicates have up to 32 MiB, and fit in a statement then', () => {
  const make = (size: number) =>
    formatStatement([subject], 'https://example.com/v1', utf8(`{"a":"${'x'.repeat(size - 8)}"}`));
  const statement = make(32 * 1024 * 1024);
  expect(parseStatement(statement).subjects).toHaveLength(1);
  const limit = no('statement', 'the predicate is longer than 33554432 bytes: nothing was signed');
  expect(() => make(32 * 1024 * 1024 + 1)).toThrow(limit);
  const larger = utf8(`${' '.repeat(33_620_000)}${new TextDecoder().decode(statement)}`);
  expect(() => parseStatement(larger)).toThrow(no('malformed', 'the statement is longer than 33619968 bytes'));
});

describe('attest', () => {
  it('signs the digest of the encoding, and gives a bundle that reads back', async () => {
    const statement = formatStatement([subject], 'https://example.com/v1', utf8('{}'));
    const key = newKey('P-384');
    const attested = await attest(statement, key);
    const encoded = preAuthEncoding('application/vnd.in-toto+json', statement);
    const digest = Uint8Array.from(createHash('sha384').update(encoded).digest());
    expect(attested.signed.digest).toEqual(digest);
    expect(key.publicKey.verify(digest, attested.envelope.signature)).toBe(true);
    const bundle = { ...attestationBundle(attested, undefined), entries: [] };
    expect(parseBundle(formatBundle(bundle)).content).toMatchObject({ kind: 'dsse', payload: statement });
    await expect(attest(utf8('{}'), key)).rejects.toMatchObject({ code: 'statement' });
  });
});

describe('stele sign and stele attest', () => {
  let dir: string;
  let server: ServeProcess;
  let hsm: SoftHsm | undefined;
  const at = (name: string) => join(dir, name);
  const write = (name: string, text: string) => writeFileSync(at(name), text);
  const log = () => ['--log', server.url, '--log-key', server.verifierKeys[0]!];
  const cli = (...args: string[]): Promise<Ran> => stele(args, { cwd: dir, env: hsm?.env ?? {} });
  const json = async (...args: string[]) => {
    const ran = await cli(...args, '--json');
    expect(ran.stderr + ran.stdout, args.join(' ')).not.toContain('internal');
    return { code: ran.code, ...JSON.parse(ran.stdout) };
  };

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'stele-attest-'));
    server = await startServer(at('data'));
    write('app', 'hello');
    write('p.json', '{"builder":{"id":"https://builder.test"}}');
    await cli('keygen', '--algorithm', 'ecdsa-p256', '--out', 'k.pem', '--public', 'k.pub');
    hsm = NO_SOFTHSM === undefined ? await startSoftHsm() : undefined;
  });
  afterAll(async () => {
    await server?.kill();
    await hsm?.stop();
    rmSync(dir, { recursive: true });
  });

  it('attest a file, and give the same entry again', async () => {
    const args = ['attest', 'app', '--predicate', 'p.json', '--type', 'slsaprovenance', '--key', 'k.pem', ...log()];
    const first = await json(...args);
    expect(first).toMatchObject({ code: 0, ok: true, bundle: 'app.slsaprovenance.sigstore.json' });
    const { content } = parseBundle(readFileSync(at('app.slsaprovenance.sigstore.json')));
    expect(content.kind === 'dsse' && parseStatement(content.payload)).toMatchObject({
      predicateType: 'https://slsa.dev/provenance/v0.2',
      subjects: [{ name: 'app' }],
    });
    expect((await json(...args)).index).toBe(first.index);
  });

  it('attest many files with a statement each', async () => {
    for (const name of ['a', 'b', 'c']) write(name, name);
    const args = ['--predicate', 'p.json', '--type', 'https://example.com/review/v1', '--key', 'k.pem', ...log()];
    const result = await json('attest', 'a', 'b', 'none', 'c', ...args);
    expect(result).toMatchObject({ code: 1, ok: false, logged: 3, failed: 1 });
    expect(result.files.map(({ ok }: { ok: boolean }) => ok)).toEqual([true, true, false, true]);
    expect(result.files[2].error.code).toBe('file');
    expect(existsSync(at('c.attestation.sigstore.json'))).toBe(true);
  });

  it('sign a statement as it is, for the files in it', async () => {
    const statement = new TextDecoder().decode(
      formatStatement([{ name: 'app', sha256: sha256('hello') }], 'urn:x', utf8('{ }')),
    );
    write('s.json', statement);
    const args = ['--statement', 's.json', '--key', 'k.pem', ...log(), '--out', 's.out'];
    expect(await json('attest', 'app', ...args)).toMatchObject({ code: 0, predicateType: 'urn:x' });
    const { content } = parseBundle(readFileSync(at('s.out')));
    expect(content.kind === 'dsse' && new TextDecoder().decode(content.payload)).toBe(statement);
    expect(await json('attest', 'a', ...args)).toMatchObject({ code: 2, error: { code: 'statement' } });
  });

  it('know the files of a statement by each hash that verifiers compare, and by no other', async () => {
    const hex = (hash: string, text = 'hello') => createHash(hash).update(text).digest('hex');
    const attest = (digest: object) => {
      write(
        'd.json',
        JSON.stringify({
          _type: 'https://in-toto.io/Statement/v1',
          predicateType: 'urn:x',
          subject: [{ name: 'x', digest }],
        }),
      );
      return json('attest', 'app', '--statement', 'd.json', '--key', 'k.pem', ...log(), '--out', 'd.out');
    };
    for (const digest of [{ sha384: hex('sha384') }, { sha512: hex('sha512') }, { sha512: hex('sha512'), sha1: 'x' }]) {
      const attested = await attest(digest);
      expect(attested).toMatchObject({ code: 0, subjects: [{ name: 'x', digest }] });
      const verified = await json(
        'verify',
        'app',
        '--bundle',
        'd.out',
        '--key',
        'k.pub',
        '--log-key',
        server.verifierKeys[0]!,
      );
      expect(verified).toMatchObject({ code: 0, statement: { subject: 'x' } });
    }
    for (const digest of [
      { sha384: hex('sha384', 'other') },
      { sha512: hex('sha384') },
      { sha256: hex('sha256'), sha512: hex('sha512', 'other') },
    ]) {
      expect(await attest(digest)).toMatchObject({ code: 2, error: no('statement', 'is no subject of d.json') });
    }
    for (const digest of [{ sha1: hex('sha1') }, { gitCommit: hex('sha1'), blake2b: 'x' }]) {
      const error = no('unsupported', `by ${Object.keys(digest).join(', ')} alone: no such digest can be compared`);
      expect(await attest(digest)).toMatchObject({ code: 2, error });
    }
  });

  it('say what is wrong with what is to be attested, before anything is logged', async () => {
    const before = await (await fetch(`${server.url}/checkpoint`)).text();
    const key = ['--key', 'k.pem', ...log()];
    for (const [args, code, text] of [
      [['app', '--predicate', 'app', '--type', 'spdx', ...key], 'statement', 'not JSON'],
      [['app', '--predicate', 'none', '--type', 'spdx', ...key], 'file', 'no such file'],
      [['none', '--predicate', 'p.json', '--type', 'spdx', ...key], 'file', 'no such file'],
      [['app', '--predicate', 'p.json', '--type', 'sbom', ...key], 'usage', 'openvex, custom, vsa, scai'],
      [['app', '--predicate', 'p.json', ...key], 'usage', '--type'],
      [['--predicate', 'p.json', '--type', 'spdx', ...key], 'usage', 'name the file'],
      [['app', '--statement', 'p.json', ...key], 'statement', '_type'],
      [['app', '--predicate', 'p.json', '--type', 'spdx', ...log()], 'usage', '--key'],
    ] as const) {
      const result = await json('attest', ...args);
      expect(result, args.join(' ')).toMatchObject({ code: 2, error: no(code, text) });
    }
    expect(await (await fetch(`${server.url}/checkpoint`)).text()).toBe(before);
  });

  it('sign many files with the bulk call, and name those that fail', async () => {
    for (let i = 0; i < 12; i++) write(`f${i}`, `file ${i}`);
    const files = Array.from({ length: 12 }, (_, i) => `f${i}`);
    const result = await json('sign', ...files, 'f3', 'none', '--key', 'k.pem', '--tlog-proof', ...log());
    expect(result).toMatchObject({ code: 1, logged: 12, failed: 1 });
    for (const file of files) {
      const { entries } = parseBundle(readFileSync(at(`${file}.sigstore.json`)));
      expect(parseTlogProof(readFileSync(at(`${file}.tlog-proof`)))).toMatchObject({ index: entries[0]!.index });
    }
    const again = await cli('sign', ...files, '--key', 'k.pem', ...log());
    expect(again.code).toBe(0);
    const indexes = (text: string) => [...text.matchAll(/entry (\d+)/g)].map(([, index]) => Number(index));
    expect(indexes(again.stdout)).toEqual(result.files.slice(0, 12).map(({ index }: { index: number }) => index));
    expect(await cli('sign', 'f1', 'f2', ...log())).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('--key'),
    });
    expect((await cli('sign', 'f1', 'f2', '--out', 'x', '--key', 'k.pem', ...log())).code).toBe(2);
  });

  it('sign with Ed25519 and RSA keys', async () => {
    const keys = [generateKeyPairSync('ed25519'), generateKeyPairSync('rsa', { modulusLength: 2048 })];
    for (const [i, { privateKey }] of keys.entries()) {
      writeFileSync(at(`k${i}.pem`), privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
      const result = await json(
        'sign',
        'app',
        '--key',
        `k${i}.pem`,
        '--public-out',
        `k${i}.pub`,
        '--out',
        `o${i}`,
        ...log(),
      );
      expect(result).toMatchObject({ code: 0, digest: { algorithm: i === 0 ? 'SHA2_512' : 'SHA2_256' } });
      expect(parsePublicKeyPem(readFileSync(at(`k${i}.pub`), 'utf8'), nodePrimitives()).info.kind).toBe(
        i === 0 ? 'ed25519' : 'rsa',
      );
    }
    writeFileSync(at('x.pem'), generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' }), {
      mode: 0o600,
    });
    expect(await json('sign', 'app', '--key', 'x.pem', ...log())).toMatchObject({ code: 2, error: { code: 'key' } });
  });

  it.skipIf(skips('attestations with a key in a token', NO_SOFTHSM))(
    'sign with a key in a token, once, also where the log was away',
    async () => {
      await hsm!.initToken('stele', '1234');
      const token = [
        '--pkcs11-module',
        hsm!.module,
        '--token',
        'stele',
        '--label',
        'release',
        '--pin-file',
        await hsm!.pinFile('1234'),
      ];
      await cli('keygen', '--algorithm', 'ecdsa-p256', ...token);
      write('t', 'token');
      const away = ['--log', 'http://127.0.0.1:9999', '--log-key', server.verifierKeys[0]!, '--timeout', '1'];
      expect((await cli('sign', 't', ...token, ...away)).code).toBe(1);
      const kept = parseBundle(readFileSync(at('t.sigstore.json.unlogged'))).content.signature;
      expect(existsSync(at('t.sigstore.json'))).toBe(false);
      const first = await json('sign', 't', ...token, ...log());
      expect(parseBundle(readFileSync(at('t.sigstore.json'))).content.signature).toEqual(kept);
      expect(existsSync(at('t.sigstore.json.unlogged'))).toBe(false);
      expect(await json('sign', 't', ...token, ...log())).toMatchObject({ code: 0, index: first.index });
      const attesting = ['attest', 't', '--predicate', 'p.json', '--type', 'vsa', ...token, ...log()];
      expect((await json(...attesting)).index).toBe((await json(...attesting)).index);
      write('u', 'queued');
      const queued = ['sign', 'u', ...token, ...log(), '--queue', 'token-queue'];
      const states = [];
      for (let run = 0; run < 2; run++) states.push((await json(...queued)).entries[0].state);
      expect(states).toEqual(['queued', 'already-queued']);
      expect(existsSync(at('u.sigstore.json.unlogged'))).toBe(false);
      const wrong = [
        '--pkcs11-module',
        hsm!.module,
        '--token',
        'stele',
        '--label',
        'release',
        '--pin-file',
        await hsm!.pinFile('9999'),
      ];
      expect(await json('sign', 't', ...wrong, ...log())).toMatchObject({ code: 2, error: { code: 'pkcs11-pin' } });
      await hsm!.takeAway();
      expect(await json('sign', 't', ...token, ...log())).toMatchObject({ code: 2, error: no('pkcs11-token') });
      await hsm!.giveBack();
      const half = ['--pkcs11-module', hsm!.module, '--token', 'stele'];
      expect(await json('sign', 't', ...half, ...log())).toMatchObject({ code: 2, error: { code: 'usage' } });
    },
  );

  it('leave nothing behind but the key where the log cannot be had', async () => {
    write('alone', 'alone');
    const ran = await cli(
      'sign',
      'alone',
      '--key',
      'k.pem',
      '--log',
      'http://127.0.0.1:9999',
      '--log-key',
      server.verifierKeys[0]!,
      '--timeout',
      '1',
    );
    expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('[network]') });
    expect(existsSync(at('alone.sigstore.json'))).toBe(false);
    expect(statSync(at('k.pem')).mode & 0o777).toBe(0o600);
  });

  it('refuse a certificate that is not of the key', async () => {
    write('cert.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    for (const certificate of ['cert.pem', 'app', 'k.pem']) {
      const result = await json('sign', 'app', '--key', 'k.pem', '--certificate', certificate, ...log());
      expect(result).toMatchObject({ code: 2, error: { code: 'key' } });
    }
  });
});
