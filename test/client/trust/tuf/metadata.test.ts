/** TUF metadata are read strictly: each rule with an input that breaks it, beside one that does not. */
import { generateKeyPairSync } from 'node:crypto';
import { Metadata, MetadataKind } from '@tufjs/models';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../../client/trust/tuf/canonical-json.ts';
import {
  readRoot,
  readSnapshot,
  readTargets,
  readTimestamp,
  writeMetadata,
} from '../../../../client/trust/tuf/metadata.ts';
import { TUF_LIMITS } from '../../../../client/trust/tuf/role.ts';
import {
  ed25519Key,
  file,
  type Json,
  keysOf,
  p256Key,
  roleOf,
  rootJson,
  signatureOf,
  snapshotJson,
  targetsJson,
  testKey,
  timestampJson,
} from './tuf-files.ts';

const [first, second, third, online] = [ed25519Key(), p256Key(), ed25519Key(), p256Key()] as const;
const goodRoot = (): Json => structuredClone(rootJson(2, [first, second, third], online));
/** The text of a file, changed before it is read. */
const asText = (json: Json, from: string | RegExp, to: string) => {
  const text = JSON.stringify({ signatures: [], signed: json });
  const changed = text.replace(from, to);
  expect(changed).not.toBe(text);
  return Buffer.from(changed);
};
const code = (read: () => unknown) => {
  try {
    read();
  } catch (error) {
    return error as { code: string; message: string };
  }
  return undefined;
};
const refused = (read: () => unknown, why: RegExp) => {
  expect(code(read)).toMatchObject({ code: 'tuf-malformed', message: expect.stringMatching(why) });
};

describe('TUF metadata', () => {
  it('are read, with the bytes that another implementation signs', () => {
    const json = goodRoot();
    const root = readRoot(file(json, first, second));
    expect(root.signed).toMatchObject({ version: 1, expires: Date.UTC(2030, 0, 1), consistentSnapshot: true });
    expect(root.signed.roles.root).toEqual({ keyids: [first.id, second.id, third.id], threshold: 2 });
    const models = Metadata.fromJSON(MetadataKind.Root, JSON.parse(Buffer.from(root.bytes).toString()));
    models.verifyDelegate('root', models);
    expect(readTargets(file(targetsJson())).signed.targets.get('trusted_root.json')!.length).toBe(3);
    expect(readSnapshot(file(snapshotJson())).signed.meta.get('targets')!.version).toBe(1);
    expect(readTimestamp(file(timestampJson())).signed.snapshot).toMatchObject({ version: 1, length: 3 });
  });

  it('are written so that they read the same', () => {
    const json = goodRoot();
    const signatures = [signatureOf(first, json), signatureOf(second, json)];
    const root = readRoot(writeMetadata(json, signatures));
    expect(root.signatures).toEqual(signatures);
    expect(root.signedBytes).toEqual(readRoot(file(json)).signedBytes);
  });

  it('keep members that nobody knows in what is signed', () => {
    const json = { ...goodRoot(), 'x-owner': { list: [1, 'two', true, { a: -1 }], 'quote"': 'back\\slash\nline é' } };
    const { signedBytes } = readRoot(file(json));
    expect(Buffer.from(signedBytes).toString()).toContain(
      '{"list":[1,"two",true,{"a":-1}],"quote\\"":"back\\\\slash\nline é"}',
    );
    const models = Metadata.fromJSON(MetadataKind.Root, JSON.parse(Buffer.from(file(json, first, second)).toString()));
    models.verifyDelegate('root', models);
  });

  it('may have empty signatures, which stand for keys that did not sign yet', () => {
    const bytes = writeMetadata(goodRoot(), [{ keyid: first.id, sig: '' }]);
    expect(readRoot(bytes).signatures).toEqual([{ keyid: first.id, sig: '' }]);
  });
});

describe('any metadata', () => {
  it.each([
    ['version 0', (j: Json) => (j.version = 0), /version is 0/],
    ['version -1', (j: Json) => (j.version = -1), /version is -1/],
    ['a version as text', (j: Json) => (j.version = '1'), /version is "1"/],
    ['no version', (j: Json) => delete j.version, /version is missing/],
    ['a null', (j: Json) => (j.x = null), /null/],
    ['a null in a list', (j: Json) => (j.x = [{ y: [null] }]), /null/],
    ['a version that is null', (j: Json) => (j.version = null), /null/],
    ['a name outside ASCII', (j: Json) => (j.é = 1), /printable ASCII/],
    ['a name with a control character', (j: Json) => (j['a\n'] = 1), /printable ASCII/],
    ['half a surrogate pair', (j: Json) => (j.x = '\ud800'), /surrogate/],
    ['another type', (j: Json) => (j._type = 'mirrors'), /_type "mirrors"/],
    ['specification 2.0', (j: Json) => (j.spec_version = '2.0'), /version "2.0"/],
    ['specification 1', (j: Json) => (j.spec_version = '1'), /version "1"/],
    ['a specification that is a number', (j: Json) => (j.spec_version = 1), /spec_version is not text/],
    ['a specification 1.x.y.z', (j: Json) => (j.spec_version = '1.0.0.1'), /version "1.0.0.1"/],
    ['an expiry with fractions', (j: Json) => (j.expires = '2030-01-01T00:00:00.5Z'), /expires is/],
    ['an expiry with an offset', (j: Json) => (j.expires = '2030-01-01T00:00:00+00:00'), /expires is/],
    ['an expiry in lower case', (j: Json) => (j.expires = '2030-01-01t00:00:00z'), /expires is/],
    ['an expiry that no calendar has', (j: Json) => (j.expires = '2030-02-30T00:00:00Z'), /expires is/],
    ['an expiry without a time', (j: Json) => (j.expires = '2030-01-01'), /expires is/],
    ['an expiry that is a number', (j: Json) => (j.expires = 1893456000), /expires is/],
    ['no expiry', (j: Json) => delete j.expires, /expires is missing/],
  ])('are refused with %s', (_, change, why) => {
    const readers: readonly [() => Json, (bytes: Uint8Array) => unknown][] = [
      [goodRoot, readRoot],
      [targetsJson, readTargets],
      [snapshotJson, readSnapshot],
      [timestampJson, readTimestamp],
    ];
    for (const [make, read] of readers) {
      const json = make();
      change(json);
      refused(() => read(writeMetadata(json, [])), why);
    }
  });

  it.each(['1.0', '1.5', '1e3', '1E0', '-0', '9007199254740992', '9007199254740993', '1e400'])(
    'are refused with the number %s, wherever it is',
    (number) => {
      refused(() => readRoot(asText(goodRoot(), '"version":1', `"version":${number}`)), /number/);
      refused(() => readTargets(asText({ ...targetsJson(), x: { y: [7] } }, '[7]', `[1,${number}]`)), /number/);
    },
  );

  it('may hold the largest integer, and text that looks like a number', () => {
    const json = { ...goodRoot(), version: Number.MAX_SAFE_INTEGER, x: ['1.5', 'say \\"1e3', '\\'] };
    expect(readRoot(writeMetadata(json, [])).signed.version).toBe(Number.MAX_SAFE_INTEGER);
  });

  it('are refused with a member twice, also when one is escaped', () => {
    refused(() => readRoot(asText(goodRoot(), '"version":1', '"version":1,"version":2')), /"version" twice/);
    refused(() => readRoot(asText(goodRoot(), '"version":1', '"version":1,"v\\u0065rsion":2')), /"version" twice/);
  });

  it.each([
    [
      'two of one key ID',
      [
        { keyid: 'a', sig: 'aa' },
        { keyid: 'a', sig: 'bb' },
      ],
      /two by the key ID/,
    ],
    ['one that is not hex', [{ keyid: 'a', sig: 'xy' }], /not hex/],
    ['one of half a byte', [{ keyid: 'a', sig: 'abc' }], /not hex/],
    ['one without a key ID', [{ sig: 'aa' }], /keyid is missing/],
    ['one that is text', ['aa'], /not an object/],
    ['an object', { a: 'aa' }, /not a list/],
    [
      'more than a client verifies',
      Array.from({ length: 257 }, (_, i) => ({ keyid: `${i}`, sig: '' })),
      /more than 256/,
    ],
  ])('are refused with signatures: %s', (_, signatures, why) => {
    refused(() => readRoot(writeMetadata(goodRoot(), signatures as never)), why);
  });

  it.each([
    ['nothing', ''],
    ['text', 'metadata'],
    ['a list', '[]'],
    ['more than JSON', '{}{}'],
    ['no signed part', '{"signatures":[]}'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0xff, 0x7d])],
    ['deep nesting', `{"a":${'['.repeat(40)}${']'.repeat(40)}}`],
  ])('are refused: %s', (_, content) => {
    for (const read of [readRoot, readTargets, readSnapshot, readTimestamp]) {
      refused(() => read(Buffer.from(content as string)), /./);
    }
  });

  it('have a size by role', () => {
    const padded = (json: Json, size: number) => {
      const bytes = writeMetadata(json, []);
      return Buffer.concat([bytes, Buffer.alloc(size - bytes.length, ' ')]);
    };
    const { timestamp, snapshot } = TUF_LIMITS.file;
    readTimestamp(padded(timestampJson(), timestamp));
    refused(() => readTimestamp(padded(timestampJson(), timestamp + 1)), /longer than 16384 bytes/);
    refused(() => readSnapshot(padded(snapshotJson(), snapshot + 1)), /longer than 2097152/);
    refused(() => readRoot(padded(goodRoot(), 5 * 1024 * 1024 + 1)), /longer than 5242880/);
    refused(() => readTargets(padded(targetsJson(), 5 * 1024 * 1024 + 1)), /longer than 5242880/);
  });
});

describe('a root', () => {
  const hexOf = (key: typeof first) => Buffer.from(key.spki).subarray(-65).toString('hex');

  it.each([
    ['threshold 0', (j: Json) => (j.roles.root.threshold = 0), /threshold is 0/],
    ['a negative threshold', (j: Json) => (j.roles.timestamp.threshold = -1), /threshold is -1/],
    ['a threshold as text', (j: Json) => (j.roles.root.threshold = '2'), /threshold is "2"/],
    ['a threshold above its keys', (j: Json) => (j.roles.root.threshold = 4), /threshold 4 and 3 keys/],
    ['a role without keys', (j: Json) => (j.roles.targets.keyids = []), /threshold 1 and 0 keys/],
    ['a key ID twice', (j: Json) => j.roles.root.keyids.push(first.id), /twice/],
    ['a key ID without a key', (j: Json) => j.roles.root.keyids.push('nobody'), /not among the keys/],
    ['a key ID that an object inherits', (j: Json) => j.roles.root.keyids.push('constructor'), /not among the keys/],
    ['one key under two key IDs', (j: Json) => (j.keys.other = first.json), /one key under two key IDs/],
    [
      'one P-256 key as PEM and as hex',
      (j: Json) => {
        j.keys.other = { ...second.json, keyval: { public: hexOf(second) } };
      },
      /one key under two key IDs/,
    ],
    [
      'one Ed25519 key as hex and as PEM',
      (j: Json) => {
        const body = Buffer.from(first.spki).toString('base64');
        j.keys.other = {
          ...first.json,
          keyval: { public: `-----BEGIN PUBLIC KEY-----\n${body}\n-----END PUBLIC KEY-----` },
        };
      },
      /one key under two key IDs/,
    ],
    [
      'one Ed25519 key in two cases',
      (j: Json) => {
        j.keys.other = { ...first.json, keyval: { public: first.json.keyval.public.toUpperCase() } };
      },
      /one key under two key IDs/,
    ],
    [
      'one P-256 key in two PEM texts',
      (j: Json) => {
        j.keys.other = { ...second.json, keyval: { public: `${second.json.keyval.public}\n` } };
      },
      /one key under two key IDs/,
    ],
    [
      'one key under two keytypes',
      (j: Json) => (j.keys.other = { ...second.json, keytype: 'ecdsa-sha2-nistp256' }),
      /one key/,
    ],
    ['a key without a scheme', (j: Json) => delete j.keys[first.id].scheme, /lacks its keytype, scheme/],
    ['a key without a value', (j: Json) => (j.keys[first.id].keyval = {}), /lacks its public value/],
    ['a key that is text', (j: Json) => (j.keys[first.id] = 'key'), /not an object/],
    ['a role that no root has', (j: Json) => (j.roles.admin = roleOf(1, first)), /"admin"/],
    ['no timestamp role', (j: Json) => delete j.roles.timestamp, /the role timestamp is missing/],
    ['no keys', (j: Json) => delete j.keys, /"keys" is missing/],
    ['consistent_snapshot as text', (j: Json) => (j.consistent_snapshot = 'true'), /consistent_snapshot/],
  ])('is refused with %s', (_, change, why) => {
    const json = goodRoot();
    change(json);
    refused(() => readRoot(writeMetadata(json, [])), why);
  });

  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = (key: { publicKey: Json }) => key.publicKey.export({ format: 'pem', type: 'spki' });
  it.each([
    ['P-384', { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp384', keyval: { public: pem(p384) } }, p384],
    ['P-384 that says P-256', { keytype: 'ecdsa', scheme: 'ecdsa-sha2-nistp256', keyval: { public: pem(p384) } }, p384],
    ['RSA', { keytype: 'rsa', scheme: 'rsassa-pss-sha256', keyval: { public: pem(rsa) } }, rsa],
    ['P-256 in hex', { ...second.json, keyval: { public: hexOf(second) } }, undefined],
    ['P-256 with the type of Ed25519', { ...second.json, keytype: 'ed25519', scheme: 'ed25519' }, undefined],
    ['Ed25519 of small order', { ...first.json, keyval: { public: `01${'00'.repeat(31)}` } }, undefined],
    ['an unknown type', { keytype: 'sphincs', scheme: 'sphincs', keyval: { public: 'ab' } }, undefined],
  ])('counts no key of the form: %s', (_, json, pair) => {
    const odd = pair === undefined ? { ...second, id: 'odd', json } : testKey(json, pair.publicKey, pair.privateKey);
    const root = { ...goodRoot(), keys: keysOf(first, odd, online) };
    root.roles = { ...root.roles, root: roleOf(2, first, odd) };
    refused(() => readRoot(writeMetadata(root, [])), /threshold 2 and 1 keys that can sign/);
    root.roles.root.threshold = 1;
    expect(readRoot(writeMetadata(root, [])).signed.keys.get(odd.id)!.info).toBeUndefined();
  });

  it('takes the keytype of older metadata, and a role of mirrors', () => {
    const json = goodRoot();
    json.keys[second.id] = { ...second.json, keytype: 'ecdsa-sha2-nistp256', keyid_hash_algorithms: ['sha256'] };
    json.roles.mirrors = roleOf(1, first);
    expect(readRoot(writeMetadata(json, [])).signed.keys.get(second.id)!.info).toBeDefined();
  });
});

describe('targets', () => {
  const withTarget = (target: Json, name = 'a') => writeMetadata({ ...targetsJson(), targets: { [name]: target } }, []);
  const sha256 = 'ab'.repeat(32);

  it('take further hashes beside SHA-256, and data of their own', () => {
    const target = { length: 0, hashes: { sha256, sha512: 'cd'.repeat(64), blake2b: 'x' }, custom: { a: 1 } };
    expect(readTargets(withTarget(target)).signed.targets.get('a')).toMatchObject({ length: 0, custom: { a: 1 } });
  });

  it.each([
    ['no hashes', { length: 1 }, /"hashes" is missing/],
    ['SHA-512 alone', { length: 1, hashes: { sha512: 'cd'.repeat(64) } }, /no SHA-256/],
    ['an unknown hash alone', { length: 1, hashes: { md5: 'ab' } }, /no sha256 and no sha512/],
    ['a short hash', { length: 1, hashes: { sha256: 'ab' } }, /64 digits/],
    ['a hash in upper case', { length: 1, hashes: { sha256: 'AB'.repeat(32) } }, /64 digits/],
    ['a negative length', { length: -1, hashes: { sha256 } }, /length is -1/],
    ['no length', { hashes: { sha256 } }, /length is missing/],
    ['custom that is text', { length: 1, hashes: { sha256 }, custom: 'x' }, /custom is not an object/],
  ])('are refused with a target of %s', (_, target, why) => refused(() => readTargets(withTarget(target)), why));

  it.each([
    '/etc/passwd',
    '../a',
    'a/../b',
    './a',
    'a//b',
    'a/',
    '',
    'a\\b',
    'a b',
    'a%2fb',
    'a?b',
    'a#b',
    'x'.repeat(513),
  ])('are refused with the target name %j', (name) =>
    refused(() => readTargets(withTarget({ length: 1, hashes: { sha256 } }, name)), /relative path/),
  );

  it.each(['log.example.com.vkey', 'registry.npmjs.org/keys.json', '__proto__', 'constructor', 'a+b@c,d=e~f'])(
    'take the target name %s',
    (name) => {
      const text = Buffer.from(withTarget({ length: 1, hashes: { sha256 } }, 'NAME'))
        .toString()
        .replace('NAME', name);
      expect(readTargets(Buffer.from(text)).signed.targets.has(name)).toBe(true);
    },
  );

  const delegation = (change: (role: Json, json: Json) => void = () => {}) => {
    const role = { name: 'team', terminating: true, paths: ['team/*'], ...roleOf(1, first) };
    const json = structuredClone({ ...targetsJson(), delegations: { keys: keysOf(first), roles: [role] } });
    change(json.delegations.roles[0], json.delegations);
    return writeMetadata(json, []);
  };

  it('delegate', () => {
    const { delegations } = readTargets(delegation()).signed;
    expect(delegations!.roles.get('team')).toMatchObject({ paths: ['team/*'], threshold: 1, terminating: true });
  });

  it.each([
    ['a role twice', (r: Json, d: Json) => d.roles.push(r), /"team" twice/],
    ['a role called root', (r: Json) => (r.name = 'root'), /"root"/],
    ['a role with a path', (r: Json) => (r.name = '../x'), /no name of a file/],
    ['a role without a name', (r: Json) => (r.name = ''), /no name of a file/],
    ['paths and prefixes', (r: Json) => (r.path_hash_prefixes = ['a']), /both/],
    ['paths that are text', (r: Json) => (r.paths = '*'), /not a list/],
    ['no word on its end', (r: Json) => delete r.terminating, /terminating/],
    ['threshold 0', (r: Json) => (r.threshold = 0), /threshold is 0/],
    ['threshold 2 of 1', (r: Json) => (r.threshold = 2), /threshold 2 and 1 keys/],
    ['one key under two IDs', (_: Json, d: Json) => (d.keys.x = first.json), /one key under two/],
    ['succinct roles', (_: Json, d: Json) => (d.succinct_roles = {}), /succinct_roles/],
  ])('are refused with a delegation of %s', (_, change, why) => refused(() => readTargets(delegation(change)), why));
});

describe('snapshot and timestamp', () => {
  it.each([
    ['no targets', { 'a.json': { version: 1 } }, /targets.json/],
    ['a path', { 'targets.json': { version: 1 }, '../a.json': { version: 1 } }, /no targets role/],
    ['another ending', { 'targets.json': { version: 1 }, 'a.txt': { version: 1 } }, /no targets role/],
    ['version 0', { 'targets.json': { version: 0 } }, /version is 0/],
    ['a hash that nobody knows', { 'targets.json': { version: 1, hashes: { x: 'y' } } }, /no sha256/],
  ])('a snapshot is refused with %s', (_, meta, why) =>
    refused(() => readSnapshot(writeMetadata({ ...snapshotJson(), meta }, [])), why),
  );

  it.each([
    ['nothing', {}, /snapshot.json is missing/],
    ['another file', { 'snapshot.json': { version: 1 }, 'targets.json': { version: 1 } }, /snapshot.json alone/],
  ])('a timestamp is refused with %s', (_, meta, why) =>
    refused(() => readTimestamp(writeMetadata({ ...timestampJson(), meta }, [])), why),
  );
});

describe('canonical JSON', () => {
  it.each([[1.5], [2 ** 53], [Number.NaN], [null], [undefined], [{ é: 1 }], ['\udfff'], [[[null]]], [1n]])(
    'is not made of %s',
    (value) => refused(() => canonicalJson(value, 'the value'), /./),
  );
});
