import * as crypto from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { type Certificate, parseCertificate } from '../../../merkle/x509/certificate.ts';
import { type CtLog, parseScts, SCT_EXTENSION, verifySct } from '../../../merkle/x509/sct.ts';
import {
  bitString,
  type Extension,
  issueCa,
  keyInfo,
  newKeys,
  octets,
  oid,
  SIGNING,
  sequence,
  spkiOf,
  tbsOf,
  type Wish,
} from './make.ts';
import { listOf, makeSct, number, prefixed, type SctWish } from './make-sct.ts';

const TIME = Date.parse('2030-01-01T00:00:00.123Z');
const ROOT = issueCa('root');
const LOG = newKeys();
const sha256 = (bytes: Uint8Array) => crypto.hash('sha256', bytes, 'buffer');

const ctLog = (keys = LOG, validFor: CtLog['validFor'] = { start: 0 }): CtLog => ({
  logId: sha256(spkiOf(keys.publicKey)),
  key: keyInfo(keys),
  validFor,
});

type Promised = Partial<SctWish>;
const promise = (tbs: Uint8Array, more: Promised = {}) =>
  makeSct(tbs, { keys: LOG, time: TIME, issuer: ROOT.certificate.spki, ...more });

const OTHERS: readonly Extension[] = [{ oid: '1.2.3', value: Buffer.from([1]) }];
const leafKeys = newKeys();

/** A certificate with these SCTs, or with a list made otherwise. */
function certificate(make: (tbs: Uint8Array) => Buffer, wish: Wish = { usages: [SIGNING] }): Certificate {
  const plain: Wish = { by: ROOT, keys: leafKeys, extensions: OTHERS, ...wish };
  const tbs = tbsOf(plain, leafKeys);
  // The serial number is by chance, so the list goes into the bytes that were promised.
  const list = sequence(oid(SCT_EXTENSION), octets(octets(make(tbs))));
  return parseCertificate(sign(insert(tbs, list)));
}

function sign(tbs: Uint8Array): Buffer {
  const signature = crypto.sign('sha256', tbs, ROOT.keys.privateKey);
  return sequence(tbs, sequence(oid('1.2.840.10045.4.3.2')), bitString(signature));
}

/** `tbs` ends with its extensions: [3] { SEQUENCE { … } }. The new one goes behind the others. */
function insert(tbs: Uint8Array, list: Uint8Array): Buffer {
  const head = (bytes: Uint8Array, at: number) => (bytes[at + 1]! < 0x80 ? 2 : 2 + bytes[at + 1]! - 0x80);
  let at = head(tbs, 0);
  while (tbs[at] !== 0xa3) at += head(tbs, at) + length(tbs, at);
  const inner = at + head(tbs, at);
  const old = tbs.subarray(inner + head(tbs, inner));
  const extensions = sequence(old, list);
  const wrapped = Buffer.concat([Buffer.from([0xa3]), sequence(extensions).subarray(1)]);
  return sequence(tbs.subarray(head(tbs, 0), at), wrapped);
}

function length(bytes: Uint8Array, at: number): number {
  const first = bytes[at + 1]!;
  if (first < 0x80) return first;
  return [...bytes.subarray(at + 2, at + 2 + first - 0x80)].reduce((sum, byte) => sum * 256 + byte, 0);
}

const withScts = (...promises: Promised[]) =>
  certificate((tbs) => listOf(...promises.map((promised) => promise(tbs, promised))));
const verify = (leaf: Certificate, logs: CtLog[] = [ctLog()], issuer = ROOT.certificate) =>
  verifySct(leaf, issuer, logs, nodePrimitives());
const refused = (code: string) => expect.objectContaining({ name: 'MerkleError', code });

describe('signed certificate timestamps', () => {
  it('hold, with extensions and of RSA keys too', () => {
    expect(verify(withScts({}))).toMatchObject([{ time: TIME, algorithm: 'ecdsa' }]);
    expect(verify(withScts({ extensions: Buffer.from([1, 2, 3]) }))).toHaveLength(1);
    const rsa = crypto.generateKeyPairSync('rsa', { modulusLength: 2048 });
    expect(verify(withScts({ keys: rsa, algorithm: 0x0401 }), [ctLog(rsa)])).toHaveLength(1);
  });

  it('of unknown logs and other versions are passed over, but one must be known', () => {
    const other = newKeys();
    const leaf = withScts({ keys: other }, {}, { version: 1 });
    expect(parseScts(leaf)).toHaveLength(2);
    expect(verify(leaf)).toHaveLength(1);
    expect(verify(leaf, [ctLog(), ctLog(other)])).toHaveLength(2);
    expect(() => verify(leaf, [ctLog(newKeys())])).toThrow(refused('bad-sct'));
    expect(() => verify(leaf, [])).toThrow(refused('bad-sct'));
    expect(() => verify(withScts({ version: 1 }))).toThrow(refused('bad-sct'));
    // What a stranger's timestamp says is read no further: Ed25519 is an algorithm that is not checked.
    const strange = { keys: other, algorithm: 0x0807, change: () => Buffer.alloc(64) };
    expect(verify(withScts(strange, {}))).toHaveLength(1);
    expect(() => verify(withScts(strange))).toThrow(refused('bad-sct'));
    expect(() => verify(withScts(strange, {}), [ctLog(), ctLog(other)])).toThrow(refused('bad-der'));
  });

  it('count in the time of the key alone, where a log has two', () => {
    const leaf = withScts({});
    const during = (start: number, end?: number) => ctLog(LOG, { start, ...(end !== undefined && { end }) });
    expect(verify(leaf, [during(TIME, TIME)])).toHaveLength(1);
    expect(verify(leaf, [during(TIME + 1), during(0, TIME)])).toHaveLength(1);
    for (const wrong of [during(TIME + 1), during(0, TIME - 1)]) {
      expect(() => verify(leaf, [wrong])).toThrow(refused('bad-sct'));
    }
  });

  it.each<[string, Promised]>([
    ['by another key', { change: () => crypto.sign('sha256', Buffer.alloc(9), newKeys().privateKey) }],
    ['with a signature cut', { change: (signature) => signature.subarray(0, -1) }],
    ['without signature', { change: () => Buffer.alloc(0) }],
    ['for another issuer', { issuer: LOG.publicKey.export({ format: 'der', type: 'spki' }) }],
    ['with the algorithm of another key', { algorithm: 0x0401 }],
  ])('are refused %s', (_, promised) => {
    expect(() => verify(withScts(promised))).toThrow(refused('bad-sct'));
    // One that holds does not make up for one that does not.
    expect(() => verify(withScts({}, promised))).toThrow(refused('bad-sct'));
  });

  it('are refused for another certificate', () => {
    const other = certificate((tbs) => listOf(promise(Buffer.concat([tbs, Buffer.from([0])]))));
    expect(() => verify(other)).toThrow(refused('bad-sct'));
  });

  it('are refused where the key under the log ID is another', () => {
    expect(() => verify(withScts({}), [{ ...ctLog(), key: keyInfo(newKeys()) }])).toThrow(refused('bad-sct'));
  });

  it.each<[string, (sct: Buffer) => Buffer]>([
    ['bytes after the list', (sct) => Buffer.concat([listOf(sct), Buffer.from([0])])],
    ['a list cut', (sct) => listOf(sct).subarray(0, -1)],
    ['a list that is shorter than it says', (sct) => Buffer.concat([number(sct.length + 9, 2), prefixed(sct)])],
    ['bytes after one', (sct) => listOf(Buffer.concat([sct, Buffer.from([0])]))],
    ['one cut', (sct) => listOf(sct.subarray(0, -1))],
    ['an empty one', () => listOf(Buffer.alloc(0))],
    ['another algorithm', (sct) => listOf(sct.fill(8, 43, 45))],
    ['a time beyond all reason', (sct) => listOf(sct.fill(0xff, 33, 41))],
    ['17 of them', (sct) => listOf(...Array.from({ length: 17 }, () => sct))],
    ['nothing', () => Buffer.alloc(0)],
  ])('refuse %s', (_, make) => {
    const leaf = certificate((tbs) => make(promise(tbs)));
    expect(() => verify(leaf)).toThrow(refused('bad-der'));
  });

  it('an empty list says nothing', () => {
    expect(() => verify(certificate(() => listOf()))).toThrow(refused('bad-sct'));
  });

  it('stand in the only extension too', () => {
    const keys = newKeys();
    const tbs = tbsOf({ by: ROOT, keys }, keys);
    const list = sequence(oid(SCT_EXTENSION), octets(octets(listOf(promise(tbs)))));
    const wrapped = Buffer.concat([Buffer.from([0xa3]), sequence(sequence(list)).subarray(1)]);
    const body = tbs.subarray(tbs[1]! < 0x80 ? 2 : 2 + tbs[1]! - 0x80);
    expect(verify(parseCertificate(sign(sequence(body, wrapped))))).toHaveLength(1);
  });
});
