/** The rules of a ceremony: what each step must follow from, and what no transcript may say. */
import { describe, expect, it } from 'vitest';
import { ceremonyOf, checkEnough } from '../../../../client/trust/ceremony/ceremony.ts';
import { canonical, parseSteps, readSteps, type Step, stepLine } from '../../../../client/trust/ceremony/steps.ts';
import {
  checkTranscript,
  checkTranscriptSigners,
  formatTranscriptEnvelope,
  parseTranscriptEnvelope,
  transcriptSigner,
} from '../../../../client/trust/ceremony/transcript.ts';
import { writeMetadata } from '../../../../client/trust/tuf/metadata.ts';
import { Chain, dsse, hash, hex, newHolder, ONLINE_ROLES, OTHER_ONLINE, signature } from './made-ceremony.ts';

type WithSteps = { predicate: { steps: { token: object }[] } };

const holders = ['holder-1', 'holder-2', 'holder-3'].map((name) => newHolder(name));
const [h1, h2, h3] = holders as [(typeof holders)[0], (typeof holders)[0], (typeof holders)[0]];
const chain = () => new Chain(holders).begin();
const good = () => chain().keys().makeRoot().sign(h1).sign(h3);
const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'ceremony', message: expect.stringMatching(message) });
const lines = (steps: readonly Step[]) => steps.map(stepLine);
const edited = (line: Uint8Array, from: string | RegExp, to: string) => {
  const text = Buffer.from(line).toString();
  expect(text).toMatch(from);
  return Buffer.from(text.replace(from, to));
};

describe('the steps of a good ceremony', () => {
  it('give its keys, its root and who signed', () => {
    const { begin, keys, root, signatures } = ceremonyOf(parseSteps(lines(good().steps)));
    expect(begin.holders).toEqual(['holder-1', 'holder-2', 'holder-3']);
    expect([...keys.values()].map(({ key }) => key.keyid)).toEqual(holders.map(({ keyid }) => keyid));
    expect(root?.version).toBe(1);
    expect([...signatures.keys()]).toEqual(['holder-1', 'holder-3']);
  });

  it('and its transcript belong to its root', () => {
    const { root, statement } = good().finish();
    expect(checkTranscript(statement, root).metadata.signed.roles.root.threshold).toBe(2);
  });
});

describe('the chain of steps is refused', () => {
  const before = lines(good().steps);
  for (const [at, line] of before.entries()) {
    it(`with a changed line ${at + 1}`, () => {
      const time = edited(line, '10:00:00Z', '10:00:01Z');
      const changed = before.map((one, i) => (i === at ? time : one));
      // The last line has no line after it. Its signature is over the root, and the transcript over the line.
      if (at < before.length - 1) expect(() => parseSteps(changed)).toThrow(refused(/does not follow/));
      else expect(stepLine(parseSteps(changed).at(-1)!)).not.toEqual(line);
    });

    it(`without line ${at + 1}, and with it twice`, () => {
      const left = before.filter((_, i) => i !== at);
      if (at < before.length - 1) expect(() => parseSteps(left)).toThrow(refused(/does not follow/));
      const twice = [...before.slice(0, at + 1), ...before.slice(at)];
      expect(() => parseSteps(twice)).toThrow(refused(/does not follow/));
    });
  }

  it('with two lines in the other order', () => {
    const [a, b, c, ...rest] = before;
    expect(() => parseSteps([a!, c!, b!, ...rest])).toThrow(refused(/does not follow/));
  });

  it.each([
    ['white space', (line: Uint8Array) => edited(line, '{', '{ ')],
    ['members in another order', (line: Uint8Array) => edited(line, /^\{(.*),("time":"[^"]*")\}$/, '{$2,$1}')],
    ['an unknown member', (line: Uint8Array) => edited(line, '{', '{"a":1,')],
    ['a member twice', (line: Uint8Array) => edited(line, '{', '{"name":"x",')],
    ['null', (line: Uint8Array) => edited(line, /"name":"[^"]*"/, '"name":null')],
    ['a number that is no integer', (line: Uint8Array) => edited(line, '"threshold":2', '"threshold":2.0')],
    ['a threshold of 0', (line: Uint8Array) => edited(line, '"threshold":2', '"threshold":0')],
    ['a threshold above the holders', (line: Uint8Array) => edited(line, '"threshold":2', '"threshold":4')],
    ['a holder twice', (line: Uint8Array) => edited(line, '"holder-2"', '"holder-1"')],
    ['a time of another form', (line: Uint8Array) => edited(line, '10:00:00Z', '10:00:00+00:00')],
    ['a day that is none', (line: Uint8Array) => edited(line, '01-31T', '02-31T')],
    ['a digest in capital letters', (line: Uint8Array) => edited(line, hash('plan'), hash('plan').toUpperCase())],
    ['an unknown kind', (line: Uint8Array) => edited(line, '"step":"begin"', '"step":"end"')],
    ['no JSON', () => Buffer.from('begin')],
    ['nothing', () => Buffer.from('')],
    ['a list', () => Buffer.from('[]')],
  ])('with %s', (_, change) => {
    expect(() => parseSteps([change(before[0]!), ...before.slice(1)])).toThrow(
      expect.objectContaining({ code: 'ceremony' }),
    );
  });

  it('with more steps than a ceremony has', () => {
    expect(() => parseSteps(Array(40).fill(before[0]))).toThrow(refused(/more than the 35 steps/));
  });
});

describe('a step is refused', () => {
  const other = newHolder('holder-4');
  const key = (label: string, serial: string) => ({
    label,
    manufacturer: 'M',
    model: 'm',
    serial,
    hardware: '1.0',
    firmware: '1.0',
  });
  it.each<[string, RegExp, () => Chain]>([
    ['a key first', /first step/, () => new Chain(holders).key(h1)],
    ['a second begin', /begins once/, () => chain().begin()],
    ['a step of another version of Stele', /ran with Stele 0\.2\.0/, () => chain().key(h1, { stele: '0.2.0' })],
    ['a key of nobody', /no holder/, () => chain().key(other)],
    [
      'a second key of a holder',
      /already/,
      () =>
        chain()
          .key(h1)
          .key({ ...h2, name: 'holder-1' }),
    ],
    [
      'one key of two holders',
      /has the key of holder-1/,
      () =>
        chain()
          .key(h1)
          .key({ ...h1, name: 'holder-2' }),
    ],
    [
      'one token of two holders',
      /holds the key of holder-1/,
      () =>
        chain()
          .key(h1, { token: key('a', '17') })
          .key(h2, { token: key('b', '17') }),
    ],
    [
      'one TPM of two holders',
      /same TPM/,
      () =>
        chain()
          .key(h1, { tpm: hash('tpm'), token: key('a', '0000') })
          .key(h2, { tpm: hash('tpm'), token: key('b', '0000') }),
    ],
    ['a key with another key ID', /key ID/, () => chain().key({ ...h1, keyid: h2.keyid })],
    ['a key of another curve', /P-256/, () => chain().key(newHolder('holder-1', 'P-384'))],
    ['a key that is none', /cannot be used/, () => chain().key({ ...h1, pem: 'PEM' })],
    [
      'another mechanism',
      /mechanisms/,
      () => chain().key(h1, { mechanism: { generate: 'CKM_EC_KEY_PAIR_GEN', sign: 'CKM_EDDSA' } }),
    ],
    [
      'a record that its key did not sign',
      /did not sign/,
      () => chain().key(h1, { sig: hex(signature(h2, Buffer.from('x'))) }),
    ],
    ['a root before all keys', /holder-2, holder-3 have made none/, () => chain().key(h1).makeRoot()],
    ['a second root', /already/, () => chain().keys().makeRoot().makeRoot()],
    ['a key after the root', /comes too late/, () => chain().keys().makeRoot().key(h1)],
    ['a signature before the root', /no root/, () => chain().keys().sign(h1)],
    ['a second signature of a holder', /counts once/, () => good().sign(h1)],
    ['a signature of nobody', /no holder/, () => good().sign(other)],
    ['a signature by another key', /another key/, () => good().sign(h2, { keyid: h1.keyid })],
    ['a signature over another root', /another root/, () => good().sign(h2, { sha256: hash('other') })],
  ])('%s', (_, message, make) => {
    expect(() => ceremonyOf(readSteps(make().steps))).toThrow(refused(message));
  });

  it.each([
    ['sensitive', /not CKA_SENSITIVE/],
    ['extractable', /: CKA_EXTRACTABLE/],
    ['local', /not CKA_LOCAL/],
    ['neverExtractable', /not CKA_NEVER_EXTRACTABLE/],
    ['alwaysSensitive', /not CKA_ALWAYS_SENSITIVE/],
  ] as const)('of a key whose attribute "%s" is wrong, or missing', (name, message) => {
    const fine = { sensitive: true, extractable: false, local: true, neverExtractable: true, alwaysSensitive: true };
    const wrong = { ...fine, [name]: !fine[name] };
    expect(() => ceremonyOf(readSteps(chain().key(h1, { attributes: wrong }).steps))).toThrow(refused(message));
    const { [name]: _, ...four } = fine;
    const missing = chain().key(h1, { attributes: four as typeof fine }).steps;
    expect(() => readSteps(missing)).toThrow(refused(new RegExp(`attributes.${name}`)));
  });

  it('while tokens without a serial number, on TPMs of their own, are taken', () => {
    const steps = chain()
      .key(h1, { tpm: hash('tpm 1'), token: key('a', '0000') })
      .key(h2, { tpm: hash('tpm 2'), token: key('a', '0000') }).steps;
    expect(ceremonyOf(readSteps(steps)).keys.size).toBe(2);
  });
});

describe('a transcript is refused', () => {
  it('of 1 signature where 2 are needed', () => {
    const { root, statement } = chain().keys().makeRoot().sign(h1).finish();
    expect(() => checkTranscript(statement, root)).toThrow(
      refused(/2 of 3 holders must sign the root, and 1 did: holder-1/),
    );
    expect(() => checkEnough(ceremonyOf(chain().keys().makeRoot().steps))).toThrow(refused(/nobody/));
  });

  it('with another root', () => {
    const { statement } = good().finish();
    expect(() => checkTranscript(statement, good().finish().root)).toThrow(refused(/about a root/));
  });

  it.each<[string, RegExp, () => Chain]>([
    [
      'that names another threshold',
      /threshold of 2/,
      () => {
        const keyids = holders.map(({ keyid }) => keyid);
        const role = (threshold: number) => ({ keyids, threshold });
        const roles = { root: role(1), targets: role(2), ...ONLINE_ROLES };
        return chain().keys().makeRoot({}, { roles }).sign(h1).sign(h2);
      },
    ],
    [
      'that names fewer keys',
      /exactly the keys/,
      () => {
        const role = { keyids: [h1.keyid, h2.keyid], threshold: 2 };
        const roles = { root: role, targets: role, ...ONLINE_ROLES };
        return chain().keys().makeRoot({}, { roles }).sign(h1).sign(h2);
      },
    ],
    [
      'that names other keys for targets',
      /other keys for targets/,
      () => {
        const role = { keyids: holders.map(({ keyid }) => keyid), threshold: 2 };
        const roles = { root: role, targets: { keyids: [h1.keyid], threshold: 1 }, ...ONLINE_ROLES };
        return chain().keys().makeRoot({}, { roles }).sign(h1).sign(h2);
      },
    ],
    [
      'that names the key of a holder for the timestamp',
      /other keys for snapshot or timestamp/,
      () => {
        const role = { keyids: holders.map(({ keyid }) => keyid), threshold: 2 };
        const roles = { root: role, targets: role, ...ONLINE_ROLES, timestamp: { keyids: [h1.keyid], threshold: 1 } };
        return chain().keys().makeRoot({}, { roles }).sign(h1).sign(h2);
      },
    ],
    [
      'with another threshold of targets than the ceremony began with',
      /other keys for targets .* another threshold than 1/,
      () => new Chain(holders).begin({ targets: 1 }).keys().makeRoot().sign(h1).sign(h2),
    ],
    [
      'with another key of the service than the ceremony began with',
      /other keys for snapshot or timestamp/,
      () => {
        const role = { keyids: holders.map(({ keyid }) => keyid), threshold: 2 };
        const roles = { root: role, targets: role, ...ONLINE_ROLES };
        const snapshot = { keyids: [OTHER_ONLINE.keyid], threshold: 1 };
        return chain()
          .keys()
          .makeRoot({}, { roles: { ...roles, snapshot } })
          .sign(h1)
          .sign(h2);
      },
    ],
    [
      'whose service has the key of a holder',
      /key of a holder is the key of the service/,
      () => {
        const role = { keyids: holders.map(({ keyid }) => keyid), threshold: 2 };
        const online = { keyids: [h1.keyid], threshold: 1 };
        const roles = { root: role, targets: role, snapshot: online, timestamp: online };
        const begun = new Chain(holders).begin({ online: h1.keyid });
        return begun.keys().makeRoot({}, { roles }).sign(h1).sign(h2);
      },
    ],
    [
      'that expires at another time than the steps say',
      /steps say that the root expires at 2037-01-31T10:00:00Z, and it expires at 2027-01-31T10:00:00Z/,
      () => chain().keys().makeRoot({ expires: '2037-01-31T10:00:00Z' }).sign(h1).sign(h2),
    ],
    [
      'of another digest than the steps have',
      /digest is in the steps/,
      () => chain().keys().makeRoot({ version: 2 }).sign(h1).sign(h2),
    ],
    [
      'with a signature over something else',
      /not over this root/,
      () =>
        chain()
          .keys()
          .makeRoot()
          .sign(h1)
          .sign(h2, { sig: hex(signature(h2, Buffer.from('other'))) }),
    ],
  ])('of a root %s', (_, message, make) => {
    const { root, statement } = make().finish();
    expect(() => checkTranscript(statement, root)).toThrow(refused(message));
  });

  it('whose root has other signatures than the steps', () => {
    const made = good();
    const signatures = made.steps.flatMap((step) =>
      step.step === 'sign' ? [{ keyid: step.keyid, sig: step.sig }] : [],
    );
    const root = Uint8Array.from(writeMetadata(made.signed, signatures.slice(1)));
    const text = Buffer.from(made.finish().statement).toString();
    const statement = Buffer.from(text.replace(hash(made.finish().root), hash(root)));
    expect(() => checkTranscript(statement, root)).toThrow(refused(/not those of the transcript/));
  });

  const change = (edit: (json: Record<string, never>) => void) => {
    const { root, statement } = good().finish();
    const json = JSON.parse(Buffer.from(statement).toString());
    edit(json);
    return { root, statement: canonical(json) };
  };
  it.each<[string, () => { root: Uint8Array; statement: Uint8Array }]>([
    ['of another type', () => change((json) => Object.assign(json, { predicateType: 'https://example.com/v1' }))],
    ['about nothing', () => change((json) => Object.assign(json, { subject: [] }))],
    ['about two files', () => change((json) => Object.assign(json, { subject: [json.subject![0], json.subject![0]] }))],
    ['with a further member', () => change((json) => Object.assign(json, { more: 1 }))],
    ['with a further member beside the steps', () => change((json) => Object.assign(json.predicate!, { more: 1 }))],
    ['without steps', () => change((json) => Object.assign(json, { predicate: { steps: [] } }))],
    [
      'with a changed step',
      () => change((json) => Object.assign((json as unknown as WithSteps).predicate.steps[1]!.token, { serial: '1' })),
    ],
    [
      'that is written otherwise',
      () => {
        const { root, statement } = good().finish();
        return {
          root,
          statement: Buffer.from(JSON.stringify(JSON.parse(Buffer.from(statement).toString()), undefined, 1)),
        };
      },
    ],
    ['that is no JSON', () => ({ root: good().finish().root, statement: Buffer.from('{') })],
  ])('%s', (_, make) => {
    const { root, statement } = make();
    expect(() => checkTranscript(statement, root)).toThrow(expect.objectContaining({ code: 'ceremony' }));
  });
});

describe('signatures of a transcript', () => {
  const { root, statement } = good().finish();
  const ceremony = checkTranscript(statement, root);

  it('are told apart by the keys of the holders, each counted once', () => {
    expect(transcriptSigner(statement, dsse(h2, statement), ceremony)).toBe('holder-2');
    expect(transcriptSigner(statement, dsse(newHolder('x'), statement), ceremony)).toBeUndefined();
    expect(transcriptSigner(statement, dsse(h2, root), ceremony)).toBeUndefined();
    expect(() => checkTranscriptSigners(ceremony, ['holder-1', 'holder-1'])).toThrow(refused(/and 1 did: holder-1/));
    expect(() => checkTranscriptSigners(ceremony, [])).toThrow(refused(/nobody/));
    expect(checkTranscriptSigners(ceremony, ['holder-1', 'holder-2', 'holder-1'])).toBeUndefined();
  });

  it('travel in a DSSE envelope', () => {
    const file = formatTranscriptEnvelope(statement, [{ holder: 'holder-1', sig: dsse(h1, statement) }], ceremony);
    const { payload, signatures } = parseTranscriptEnvelope(file);
    expect(Buffer.from(payload)).toEqual(Buffer.from(statement));
    expect(signatures.map(({ keyId }) => keyId)).toEqual([h1.keyid]);
    for (const wrong of ['{', '{}', Buffer.from(file).toString().replace('in-toto', 'other')]) {
      expect(() => parseTranscriptEnvelope(Buffer.from(wrong))).toThrow(expect.objectContaining({ code: 'ceremony' }));
    }
  });

  it('of the key and of the root are of no use for each other', () => {
    const step = ceremony.keys.get('holder-1')!.step;
    expect(transcriptSigner(statement, Buffer.from(step.sig, 'hex'), ceremony)).toBeUndefined();
    expect(h3.keyid).not.toBe(h1.keyid);
  });
});
