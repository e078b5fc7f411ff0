import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { verifyChain } from '../../../merkle/x509/certificate-chain.ts';
import { encodeDer, parseDer, TAG } from '../../../merkle/x509/der.ts';
import { oidOf, timeOf } from '../../../merkle/x509/der-fields.ts';
import { identityOf } from '../../../merkle/x509/fulcio.ts';
import {
  bitString,
  der,
  type Extension,
  extension,
  integer,
  issue,
  issueCa,
  issueDer,
  issueLeaf,
  octets,
  oid,
  SIGNING,
  sequence,
  timeOf as time,
  utf8,
} from './make.ts';

const malformed = expect.objectContaining({ name: 'MerkleError', code: 'bad-der' });
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
const ROOT = issueCa('root');
const LEAF = issueLeaf(ROOT, {
  names: [der(0x81, Buffer.from('ann@example.com'))],
  extensions: [{ oid: '1.3.6.1.4.1.57264.1.8', value: utf8('https://issuer.example.com') }],
});

describe('DER', () => {
  it.each([
    ['an integer', '02 01 05'],
    ['a long length', `04 81 80 ${'00'.repeat(128)}`],
    ['no content', '30 00'],
    ['a bit string with unused bits', '03 02 07 80'],
    ['a negative number', '02 01 ff'],
  ])('reads %s', (_, text) => expect(parseDer(hex(text), 'it').bytes).toEqual(hex(text)));

  it.each([
    ['nothing', ''],
    ['half an element', '02'],
    ['contents cut', '02 02 05'],
    ['bytes after the end', '02 01 05 00'],
    ['a long form for a short length', `04 81 7f${'00'.repeat(127)}`],
    ['a length with a leading zero', `04 82 00 80 ${'00'.repeat(128)}`],
    ['an indefinite length', '30 80 02 01 05 00 00'],
    ['an indefinite string', '24 80 04 01 05 00 00'],
    ['a length of 2^32', '04 85 01 00 00 00 00'],
    ['a length of 127 bytes', `04 ff ${'ff'.repeat(127)}`],
    ['a constructed string', '24 03 04 01 05'],
    ['a constructed bit string', '23 04 03 02 00 05'],
    ['a primitive sequence', '10 03 02 01 05'],
    ['a primitive set', '11 00'],
    ['a number with a leading zero', '02 02 00 05'],
    ['a number with leading ones', '02 02 ff ff'],
    ['an empty number', '02 00'],
    ['a boolean of 1', '01 01 01'],
    ['a boolean of two bytes', '01 02 ff ff'],
    ['null with contents', '05 01 00'],
    ['unused bits that are set', '03 02 01 01'],
    ['eight unused bits', '03 02 08 00'],
    ['unused bits of nothing', '03 01 01'],
    ['an empty bit string', '03 00'],
    ['a tag of several bytes', '1f 81 01 00'],
    ['a tag of several bytes, of a context', '9f 20 00'],
    ['the end of contents', '00 00'],
    ['the end of contents inside', '30 02 00 00'],
  ])('refuses %s', (_, text) => expect(() => parseDer(hex(text), 'it')).toThrow(malformed));

  it('refuses what is nested deep, at once', () => {
    const nested = (depth: number): Uint8Array => {
      let bytes: Uint8Array = der(5);
      for (let i = 1; i < depth; i++) bytes = encodeDer(TAG.sequence, bytes);
      return bytes;
    };
    expect(() => parseDer(nested(32), 'it')).not.toThrow();
    expect(() => parseDer(nested(33), 'it')).toThrow(malformed);
    expect(() => parseDer(nested(10_000), 'it')).toThrow(malformed);
    const start = performance.now();
    for (const bytes of [
      new Uint8Array(1_000_000).fill(0x30),
      Buffer.alloc(1_000_000, '3080', 'hex'),
      nested(10_000),
    ]) {
      expect(() => parseDer(bytes, 'it')).toThrow(malformed);
      expect(() => parseCertificate(bytes)).toThrow(malformed);
    }
    const wide = encodeDer(
      TAG.sequence,
      new Uint8Array(60_000).map((_, i) => (i % 2 === 0 ? 5 : 0)),
    );
    expect(() => parseDer(wide, 'it')).not.toThrow();
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  it('throws nothing else, whatever it is given', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          expect(parseDer(bytes, 'it').bytes).toEqual(bytes);
        } catch (error) {
          expect(error).toEqual(malformed);
        }
      }),
    );
  });

  it('encodes what it reads', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70_000 }), (content) => {
        const bytes = encodeDer(TAG.octetString, content);
        if (bytes.length <= 65_536) expect(parseDer(bytes, 'it').content).toEqual(content);
        else expect(() => parseDer(bytes, 'it')).toThrow(malformed);
      }),
      { numRuns: 30 },
    );
  });
});

describe('values', () => {
  const read = <T>(reader: (node: ReturnType<typeof parseDer>, what: string) => T, bytes: Uint8Array): T =>
    reader(parseDer(bytes, 'it'), 'it');

  /** The UUID f81d4fae-7dec-11d0-a765-00a0c91e6bf6 of ITU-T X.667 as one arc. */
  const UUID = '2.25.329800735698586629295641978511506172918';
  it.each([
    ['1.2.840.10045.4.3.2', '06 08 2a 86 48 ce 3d 04 03 02'],
    ['2.5.29.17', '06 03 55 1d 11'],
    ['0.0', '06 01 00'],
    ['0.39', '06 01 27'],
    ['1.0', '06 01 28'],
    ['1.39', '06 01 4f'],
    ['2.0', '06 01 50'],
    ['2.999.3', '06 03 88 37 03'],
    ['0.9.2342.19200300.100.1.25', '06 0a 09 92 26 89 93 f2 2c 64 01 19'],
    ['1.3.562949953421311', '06 08 2b ff ff ff ff ff ff 7f'],
    ['1.3.562949953421312', '06 09 2b 81 80 80 80 80 80 80 00'],
    ['1.3.72057594037927935', '06 09 2b ff ff ff ff ff ff ff 7f'],
    ['2.18446744073709551535', '06 0a 81 ff ff ff ff ff ff ff ff 7f'],
    [UUID, '06 14 69 83 f0 9d a7 eb cf de e0 c7 a1 a7 b2 c0 94 8c c8 f9 d7 76'],
  ])('reads the object identifier %s', (text, bytes) => {
    expect(read(oidOf, hex(bytes))).toBe(text);
  });
  it('reads object identifiers that fill their input', () => {
    const long = new Uint8Array(60_000).fill(0xff);
    long[long.length - 1] = 0x7f;
    expect(read(oidOf, encodeDer(TAG.oid, long))).toMatch(/^2\.\d{126000,}$/);
    const arcs = Array.from({ length: 1_000 }, (_, i) => i).join('.');
    expect(read(oidOf, oid(`1.3.${arcs}`))).toBe(`1.3.${arcs}`);
  });
  it.each([
    '06 00',
    '06 01 80',
    '06 01 ff',
    '06 02 80 01',
    '06 03 2a 80 01',
    '06 02 2a 86',
    `06 0b 2a 80 ${'ff'.repeat(8)} 7f`,
    `06 0b 80 ${'ff'.repeat(9)} 7f`,
    `06 09 2a ${'ff'.repeat(8)}`,
  ])('refuses the object identifier %s', (text) => expect(() => read(oidOf, hex(text))).toThrow(malformed));

  it('reads times to the second, of all years', () => {
    for (const text of [
      '1950-01-01T00:00:00Z',
      '2049-12-31T23:59:59Z',
      '2050-01-01T00:00:00Z',
      '9999-12-31T23:59:59Z',
    ]) {
      expect(read(timeOf, time(text))).toBe(Date.parse(text));
    }
    expect(read(timeOf, time('1990-01-01T00:00:00Z', false))).toBe(Date.parse('1990-01-01T00:00:00Z'));
    expect(read((node) => timeOf(node, 'it', true), der(0x18, Buffer.from('20300101000000.1239Z')))).toBe(
      Date.parse('2030-01-01T00:00:00.123Z'),
    );
  });
  it.each([
    [0x17, '3001010000Z'],
    [0x17, '300101000000+0000'],
    [0x17, '300101000000'],
    [0x17, '20300101000000Z'],
    [0x18, '300101000000Z'],
    [0x18, '20300231000000Z'],
    [0x18, '20301301000000Z'],
    [0x18, '20300101240000Z'],
    [0x18, '20300101000060Z'],
    [0x18, '20300101000000.5Z'],
    [0x18, '00500101000000Z '],
    [0x0c, '20300101000000Z'],
  ])('refuses the time %i %s', (tag, text) => {
    expect(() => read(timeOf, der(tag, Buffer.from(text)))).toThrow(malformed);
  });
  it.each(['20300101000000.Z', '20300101000000.10Z', '20300101000000.0Z', '20300101000000,5Z'])(
    'refuses the time stamp time %s',
    (text) => expect(() => read((node) => timeOf(node, 'it', true), der(0x18, Buffer.from(text)))).toThrow(malformed),
  );
});

describe('certificates', () => {
  const withExtensions = (...list: Extension[]) =>
    parseCertificate(issueDer({ rawExtensions: list.map(extension) }).der);

  it('read names of every kind', () => {
    const other = der(0xa0, oid('1.3.6.1.4.1.57264.1.7'), der(0xa0, utf8('ann!example.com')));
    const strange = der(0xa0, oid('1.2.3'), der(0xa0, integer(5)));
    const certificate = issue({
      name: 'a, b+c"',
      names: [
        der(0x81, Buffer.from('ann@example.com')),
        der(0x82, Buffer.from('example.com')),
        der(0x86, Buffer.from('spiffe://example.com/ann')),
        der(0x87, Buffer.from([192, 0, 2, 1])),
        der(0x87, Buffer.from('20010db8000000000000000000000001', 'hex')),
        other,
        strange,
        der(0x88, Buffer.from([0x2a, 3])),
      ],
    }).certificate;
    expect(certificate.names).toEqual([
      { type: 'email', value: 'ann@example.com' },
      { type: 'dns', value: 'example.com' },
      { type: 'uri', value: 'spiffe://example.com/ann' },
      { type: 'ip', value: '192.0.2.1' },
      { type: 'ip', value: '2001:db8:0:0:0:0:0:1' },
      { type: 'other', oid: '1.3.6.1.4.1.57264.1.7', value: 'ann!example.com' },
      { type: 'other', value: `#${strange.toString('hex')}` },
      { type: 'other', value: '#88022a03' },
    ]);
    expect(certificate.subject).toBe('CN=a\\, b+CN=c\\"');
  });

  it.each<[string, Extension]>([
    ['names without a name', { oid: '2.5.29.17', value: sequence() }],
    ['an e-mail address that is not ASCII', { oid: '2.5.29.17', value: sequence(der(0x81, Buffer.from('ä@b'))) }],
    ['an IP address of 5 bytes', { oid: '2.5.29.17', value: sequence(der(0x87, Buffer.alloc(5))) }],
    ['257 names', { oid: '2.5.29.17', value: sequence(...Array.from({ length: 257 }, () => der(0x82))) }],
    ['a path length without authority', { oid: '2.5.29.19', value: sequence(integer(0)) }],
    ['a negative path length', { oid: '2.5.29.19', value: sequence(der(1, Buffer.from([255])), integer(255)) }],
    ['a key usage that allows nothing', { oid: '2.5.29.15', value: der(3, Buffer.from([0])) }],
    ['an extended key usage that allows nothing', { oid: '2.5.29.37', value: sequence() }],
    ['a key identifier that is none', { oid: '2.5.29.14', value: integer(1) }],
    ['bytes after an extension', { oid: '2.5.29.14', value: Buffer.concat([octets(Buffer.alloc(20)), der(5)]) }],
  ])('refuse %s', (_, wrong) => expect(() => withExtensions(wrong)).toThrow(malformed));

  it('refuse an extension twice, none in the list, another version, two algorithms', () => {
    const known = { oid: '2.5.29.14', value: octets(Buffer.alloc(20)) };
    expect(() => withExtensions(known)).not.toThrow();
    expect(() => withExtensions(known, known)).toThrow(malformed);
    expect(() => withExtensions({ oid: '1.2.3', value: der(5) }, { oid: '1.2.3', value: der(5) })).toThrow(malformed);
    const empty = issueDer({ rawExtensions: [] }).der;
    expect(() => parseCertificate(empty)).not.toThrow();
    for (const version of [0, 1, 3]) expect(() => parseCertificate(issueDer({ version }).der)).toThrow(malformed);
    const outerAlgorithm = sequence(oid('1.2.840.10045.4.3.3'));
    expect(() => parseCertificate(issueDer({ outerAlgorithm }).der)).toThrow(malformed);
  });

  it('have extensions, policies and uses of any object identifier', () => {
    const uuid = '2.25.329800735698586629295641978511506172918';
    const long = `1.3.${'9'.repeat(100)}`;
    const certificate = issue({ usages: [uuid], extensions: [{ oid: long, value: der(5) }] }).certificate;
    expect(certificate.extKeyUsage).toEqual([uuid]);
    expect(certificate.extension(long)).toEqual({ critical: false, value: der(5) });
    const twice = { oid: long, value: der(5) };
    // A message shows the start of a long identifier.
    expect(() => withExtensions(twice, twice)).toThrow(/^the certificate has the extension 1\.3\.9{60}… twice$/);
  });

  it('refuse what is larger than bounds', () => {
    const large = (size: number) => issueDer({ extensions: [{ oid: '1.2.3', value: Buffer.alloc(size) }] }).der;
    expect(() => parseCertificate(large(15_000))).not.toThrow();
    expect(() => parseCertificate(large(17_000))).toThrow(malformed);
    const many = (count: number) =>
      issueDer({ extensions: Array.from({ length: count }, (_, i) => ({ oid: `1.2.${i}`, value: der(5) })) }).der;
    expect(() => parseCertificate(many(64))).not.toThrow();
    expect(() => parseCertificate(many(65))).toThrow(malformed);
  });

  it('refuse other things in DER', () => {
    for (const bytes of [sequence(), integer(1), LEAF.tbs, LEAF.spki, sequence(LEAF.der), bitString(LEAF.der)]) {
      expect(() => parseCertificate(bytes)).toThrow(malformed);
    }
    expect(() => parseCertificate(Buffer.concat([LEAF.der, LEAF.der]))).toThrow(malformed);
  });

  it('with one byte changed anywhere are refused or not signed', () => {
    const at = Date.parse('2030-01-01T00:00:00Z');
    const verify = (bytes: Uint8Array): void => {
      const authorities = { intermediates: [], roots: [ROOT.certificate] };
      verifyChain(parseCertificate(bytes), authorities, at, nodePrimitives());
    };
    verify(LEAF.der);
    const refused = expect.objectContaining({ name: 'MerkleError' });
    for (let i = 0; i < LEAF.der.length; i++) {
      const changed = Uint8Array.from(LEAF.der);
      changed[i] = changed[i]! ^ (1 + ((i * 37) % 255));
      expect(() => verify(changed), `byte ${i}`).toThrow(refused);
    }
    fc.assert(
      fc.property(fc.nat(LEAF.der.length - 1), fc.integer({ min: 1, max: 255 }), (i, mask) => {
        const changed = Uint8Array.from(LEAF.der);
        changed[i] = changed[i]! ^ mask;
        expect(() => verify(changed)).toThrow(refused);
      }),
      { numRuns: 500 },
    );
  });
});

describe("Fulcio's extensions", () => {
  const fulcio = (number: number, value: Uint8Array): Extension => ({ oid: `1.3.6.1.4.1.57264.1.${number}`, value });
  const identity = (...extensions: Extension[]) => identityOf(issue({ usages: [SIGNING], extensions }).certificate);

  it('are text in DER, or plain text in the first ones', () => {
    const found = identity(
      fulcio(1, Buffer.from('https://a.example.com')),
      fulcio(2, Buffer.from('push')),
      fulcio(8, utf8('https://a.example.com')),
      fulcio(20, utf8('push')),
      fulcio(99, utf8('new')),
    );
    expect(found.issuer).toBe('https://a.example.com');
    expect(Object.fromEntries(found.extensions)).toMatchObject({
      githubWorkflowTrigger: 'push',
      buildTrigger: 'push',
      '1.3.6.1.4.1.57264.1.99': 'new',
    });
    expect(identity(fulcio(1, Buffer.from('https://old.example.com'))).issuer).toBe('https://old.example.com');
    expect(identity()).not.toHaveProperty('issuer');
    expect(identityOf(LEAF).issuer).toBe('https://issuer.example.com');
  });

  it.each<[string, Extension[]]>([
    ['two issuers', [fulcio(1, Buffer.from('https://a')), fulcio(8, utf8('https://b'))]],
    ['an issuer without DER', [fulcio(8, Buffer.from('https://a'))]],
    ['an issuer of another text type', [fulcio(8, der(0x16, Buffer.from('https://a')))]],
    ['bytes after the text', [fulcio(8, Buffer.concat([utf8('https://a'), der(5)]))]],
    ['text that is not UTF-8', [fulcio(8, der(0x0c, Buffer.from([0xff])))]],
    ['raw text that is not UTF-8', [fulcio(1, Buffer.from([0xff]))]],
  ])('refuse %s', (_, extensions) => expect(() => identity(...extensions)).toThrow(malformed));
});
