/** Evidence of strangers beside good evidence; how many must vouch; and evidence from the future. */
import { describe, expect, it } from 'vitest';
import { parseBundle } from '../../../client/formats/bundle.ts';
import { checkUnderRoots } from '../../../client/verify/under-roots.ts';
import { type BundleRequest, parseTrustedRoot, verifyBundle } from '../../../client/verify.ts';
import { noblePrimitives } from '../../../merkle/rekor/noble-primitives.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { keyInfo, newKeys } from '../../merkle/x509/make.ts';
import { bundleJson, FILE, messageOf, recordOf, sha256 } from '../../support/bundle-json.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { Instance, type Json, NOW, OWN_IDENTITY, OWN_ISSUER, type Signer, signedBy } from '../../support/instance.ts';
import {
  code,
  digestsOf,
  messageBundle,
  policyOf,
  rootJson,
  testKey,
  testWitness,
  text,
  witnessed,
} from './verify-parts.ts';

const own = new Instance();
const other = new Instance('other.example');
const third = new Instance('third.example');

/** One signature, and what logs and authorities say of it. */
function signature(signer: Signer = own.signer()) {
  const bytes = signedBy(signer, FILE);
  return {
    bytes,
    signer,
    v1: (by: Instance, time?: string): Json => by.logged1('hashedrekord', '0.0.1', recordOf(signer, bytes), time),
    v2: (by: Instance): Json => by.logged2(sha256(FILE), bytes, signer),
    stamp: (by: Instance, time?: string) => by.stamp(bytes, time === undefined ? {} : { time }),
    bundle: (entries: readonly Json[], stamps: readonly Uint8Array[] = []): Json =>
      bundleJson('0.3', signer, messageOf(bytes), entries, stamps),
  };
}

const rootOf = (...instances: readonly Instance[]): Json => {
  const [first, ...more] = instances.map((instance) => instance.trustedRoot());
  for (const root of more) {
    first.tlogs.push(...root.tlogs);
    first.timestampAuthorities.push(...root.timestampAuthorities);
  }
  return first;
};
const parsed = (json: Json) => parseTrustedRoot(text(JSON.stringify(json)));
const request = (json: Json, change: Partial<BundleRequest> = {}): BundleRequest => ({
  bundle: parseBundle(text(JSON.stringify(json))),
  artifact: { sha256: sha256(FILE) },
  trustedRoot: parsed(own.trustedRoot()),
  identity: { identity: OWN_IDENTITY, issuer: OWN_ISSUER },
  ...change,
});
const verified = (json: Json, change?: Partial<BundleRequest>) => verifyBundle(request(json, change));
const check = (json: Json, change?: Partial<BundleRequest>) => code(() => verified(json, change));
const logId = (entry: Json) => Uint8Array.from(Buffer.from(entry.logId.keyId, 'base64'));
const flip = (bytes: Uint8Array, at: number) => Buffer.from(bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)));

describe('a time stamp of an authority that is not known', () => {
  it('gives no time, and spoils none', () => {
    const { bundle, v1, v2, stamp } = signature();
    for (const its of [
      bundle([v1(own)], [stamp(other)]),
      bundle([v2(own)], [stamp(other), stamp(own)]),
      bundle([v2(own)], [stamp(own), stamp(other), stamp(third)]),
    ]) {
      const outcome = verified(its);
      expect(outcome.times).toHaveLength(1);
      const strangers = outcome.notProven.flatMap((fact) => (fact.name === 'timestamps' ? [fact.by] : []));
      expect(strangers[0]!.length).toBe(
        its.verificationMaterial.timestampVerificationData.rfc3161Timestamps.length -
          (outcome.times[0]!.kind === 'timestamp' ? 1 : 0),
      );
      expect(strangers[0]![0]).toMatch(/^certificate [0-9a-f]+ of CN=time root of other.example$/);
    }
    expect(check(bundle([v2(own)], [stamp(other)]))).toBe('bad-timestamp');
    expect(check(bundle([v2(own)], [stamp(other), stamp(third)]))).toBe('bad-timestamp');
  });

  it('does not make up for a wrong one of a known authority, and no good one does', () => {
    const { bundle, v1, stamp } = signature();
    const foreign = signature().stamp(own);
    const good = stamp(own);
    const wrong = flip(good, good.length - 1);
    expect(check(bundle([v1(own)], [foreign]))).toBe('bad-timestamp');
    expect(check(bundle([v1(own)], [good, foreign]))).toBe('bad-timestamp');
    expect(check(bundle([v1(own)], [good, wrong, stamp(other)]))).toBe('bad-timestamp');
    expect(check(bundle([v1(own)], [good, good.subarray(0, -1)]))).toBe('malformed');
    expect(check(bundle([v1(own)], [good, text('no time stamp')]))).toBe('malformed');
    // A stranger may stamp what it likes.
    expect(check(bundle([v1(own)], [good, signature().stamp(other)]))).toBe('accepted');
  });
});

describe('an entry of a log that is not known', () => {
  it('is no proof, and spoils none', () => {
    const { bundle, v1, v2, stamp } = signature();
    const [mine, theirs] = [v1(own), v1(other)];
    for (const entries of [
      [mine, theirs],
      [theirs, mine],
      [theirs, mine, v2(third)],
    ]) {
      const outcome = verified(bundle(entries));
      expect(outcome.entries.map(({ origin }) => origin)).toEqual(['rekor.sigstore.example - 42']);
      expect(outcome.times).toHaveLength(1);
      const strangers = entries.filter((entry) => entry !== mine).map(logId);
      expect(outcome.notProven).toContainEqual({ name: 'entries', logIds: strangers });
    }
    expect(check(bundle([theirs], [stamp(own)]))).toBe('bad-checkpoint');
    expect(check(bundle([theirs, v2(third)], [stamp(own)]))).toBe('bad-checkpoint');
    // The time that a stranger promises is no time.
    expect(check(bundle([v2(own), theirs]))).toBe('bad-timestamp');
  });

  it('may be wrong or of an unknown kind; one of a known log may not', () => {
    const { bundle, v1, v2, signer, bytes } = signature();
    const strange = (by: Instance) => by.logged1('rpm', '0.0.1', recordOf(signer, bytes));
    const elsewhere = (by: Instance) => signature().v1(by);
    const unsigned = (by: Instance) => {
      const entry = v1(by);
      entry.inclusionProof.checkpoint.envelope = entry.inclusionProof.checkpoint.envelope.replace(
        /\n— .*\n$/,
        '\n— x AAAAAAAA\n',
      );
      return entry;
    };
    for (const make of [strange, elsewhere, unsigned]) expect(check(bundle([v1(own), make(other)]))).toBe('accepted');
    const both = { trustedRoot: parsed(rootOf(own, other)) };
    expect(check(bundle([v1(own), v1(other)]), both)).toBe('accepted');
    expect(check(bundle([v1(own), strange(other)]), both)).toBe('unsupported');
    expect(check(bundle([v1(own), elsewhere(other)]), both)).toBe('entry-mismatch');
    expect(check(bundle([v1(own), unsigned(other)]), both)).toBe('bad-checkpoint');
    expect(check(bundle([v1(own), unsigned(own)]))).toBe('malformed');
    expect(check(bundle([v2(own), v1(own), elsewhere(own)]))).toBe('entry-mismatch');
  });

  it('is told by the key of the log, and by a policy, too', async () => {
    const [mine, theirs] = [FakeLog.empty('log.example'), FakeLog.empty('other.example')];
    const key = testKey();
    const bundle = messageBundle(FILE, key, mine);
    const two = { ...bundle, entries: [...messageBundle(FILE, key, theirs).entries, ...bundle.entries] };
    // The same signature in both logs: ECDSA signs anew each time.
    const [entry] = bundle.entries;
    const again = theirs.add(entry!.body);
    const { index, treeSize, root, hashes, checkpoint, ...rest } = again;
    const both = {
      ...bundle,
      entries: [{ ...rest, index, proof: { index, treeSize, root, hashes, checkpoint } }, entry!],
    };
    const witness = testWitness('w.example');
    const strangers = (its: typeof both, trust: Partial<BundleRequest>) => {
      const outcome = verifyBundle({ bundle: its, artifact: digestsOf(FILE), key: key.info, ...trust });
      expect(outcome.entries.map(({ origin }) => origin)).toEqual(['log.example']);
      return outcome.notProven.flatMap((fact) => (fact.name === 'entries' ? fact.logIds : []));
    };
    const alone = policyOf([mine.vkey], [witness], 1);
    const none = { ...alone, quorum: undefined };
    for (const its of [both, two]) {
      expect(strangers(its, { logKey: mine.key })).toEqual([theirs.logId]);
      expect(strangers(its, { policy: none })).toEqual([theirs.logId]);
      // All that is given must name the log.
      const roots = rootJson(mine);
      roots.tlogs.push(...rootJson(theirs).tlogs);
      expect(strangers(its, { trustedRoot: parsed(roots), policy: none })).toEqual([theirs.logId]);
      expect(strangers(its, { trustedRoot: parsed(roots), logKey: mine.key })).toEqual([theirs.logId]);
    }
    const given = { artifact: digestsOf(FILE), key: key.info };
    expect(code(() => verifyBundle({ bundle: both, ...given, policy: alone }))).toBe('quorum');
    const [cosigned] = (await witnessed(bundle, [[witness, 1_700_000_000]])).entries;
    expect(
      strangers({ ...both, entries: [both.entries[0]!, cosigned!] as typeof both.entries }, { policy: alone }),
    ).toEqual([theirs.logId]);
    expect(code(() => verifyBundle({ bundle: both, ...given, logKey: FakeLog.empty('log.example').key }))).toBe(
      'bad-checkpoint',
    );
  });
});

describe('signatures of a checkpoint', () => {
  const [file, key, log] = [text('hello'), testKey(), FakeLog.empty('log.example')];
  const [a, b, stranger] = ['a', 'b', 'c'].map((name) => testWitness(`${name}.example/w`)) as [
    TestWitness,
    TestWitness,
    TestWitness,
  ];
  type TestWitness = ReturnType<typeof testWitness>;
  const bundle = messageBundle(file, key, log);
  const policy = policyOf([log.vkey], [a, b], 1);
  const given = { artifact: digestsOf(file), key: key.info, policy };
  const line = (name: string, i: number) => `— ${name} ${Buffer.alloc(76, i).toString('base64')}\n`;
  const withLines = (its: typeof bundle, ...lines: string[]) => {
    const [entry] = its.entries;
    const { proof } = entry!;
    return {
      ...its,
      entries: [{ ...entry!, proof: { ...proof!, checkpoint: `${proof!.checkpoint}${lines.join('')}` } }],
    };
  };

  it('of unknown witnesses are named, and neither count nor spoil', async () => {
    const its = await witnessed(bundle, [
      [stranger, 1000],
      [a, 2000],
    ]);
    const outcome = verifyBundle({ ...given, bundle: withLines(its, line('d.example/w', 1)) });
    expect(outcome.entries[0]!.unverified).toEqual(['c.example/w', 'd.example/w']);
    expect(outcome.entries[0]!.cosigned).toMatchObject([{ witness: 'w1', timestamp: 2000 }]);
    const alone = await witnessed(bundle, [[stranger, 1000]]);
    expect(code(() => verifyBundle({ ...given, bundle: alone }))).toBe('quorum');
  });

  it('of a known witness must verify, also beside a quorum', async () => {
    const its = await witnessed(bundle, [[a, 2000]]);
    const wrong = await witnessed(messageBundle(file, key, log), [[b, 2000]]);
    const foreign = wrong.entries[0]!.proof!.checkpoint!.split('\n').find((one) => one.startsWith('— b.example'))!;
    expect(code(() => verifyBundle({ ...given, bundle: its }))).toBe('accepted');
    const spoiled = { ...given, bundle: withLines(its, `${foreign}\n`) };
    expect(() => verifyBundle(spoiled)).toThrow(/cosignature of the witness w2 of the policy does not verify/);
    expect(code(() => verifyBundle(spoiled))).toBe('quorum');
    // The name alone, with another key ID, is no claim to be the witness.
    expect(code(() => verifyBundle({ ...given, bundle: withLines(its, line('b.example/w', 1)) }))).toBe('accepted');
  });

  it('are at most 100, and the refusal names the limit', () => {
    const lines = (count: number) => Array.from({ length: count }, (_, i) => line(`w${i}.example`, i));
    const trust = { artifact: digestsOf(file), key: key.info, logKey: log.key };
    expect(code(() => verifyBundle({ ...trust, bundle: withLines(bundle, ...lines(99)) }))).toBe('accepted');
    expect(() => verifyBundle({ ...trust, bundle: withLines(bundle, ...lines(100)) })).toThrow(
      'more than 100 signatures',
    );
  });
});

describe('a threshold', () => {
  const named = (json: Json, operators: Readonly<Record<string, string>>) => {
    for (const one of [...json.tlogs, ...json.timestampAuthorities]) {
      const operator = operators[one.baseUrl ?? one.uri];
      if (operator !== undefined) one.operator = operator;
    }
    return parsed(json);
  };
  const { bundle, v1, v2, stamp } = signature();
  const [mine, theirs, mine2] = [v1(own), v1(other), v2(own)];

  it('counts different logs, and no stranger', () => {
    const both = parsed(rootOf(own, other));
    const two = { trustedRoot: both, requireLogs: 2 };
    expect(check(bundle([mine, theirs]), two)).toBe('accepted');
    expect(check(bundle([mine, mine2]), two)).toBe('accepted');
    expect(check(bundle([mine]), two)).toBe('bad-proof');
    expect(check(bundle([mine, theirs]), { ...two, requireLogs: 3 })).toBe('bad-proof');
    expect(check(bundle([mine, theirs]), { requireLogs: 2 })).toBe('bad-proof');
    expect(check(bundle([mine]), { requireLogs: 1 })).toBe('accepted');
  });

  it('counts the logs of one operator once, and one key once', () => {
    const json = rootOf(own, other);
    const [rekor1, rekor2] = ['https://rekor.sigstore.example', 'https://rekor2.sigstore.example'] as const;
    const asks = (trustedRoot: ReturnType<typeof parsed>, entries: Json[]) =>
      check(bundle(entries), { trustedRoot, requireLogs: 2 });
    const one = named(structuredClone(json), { [rekor1]: 'a.example', [rekor2]: 'a.example' });
    expect(asks(one, [mine, mine2])).toBe('bad-proof');
    expect(asks(one, [mine, mine2, theirs])).toBe('accepted');
    expect(asks(named(structuredClone(json), { [rekor1]: 'a.example', [rekor2]: 'b.example' }), [mine, mine2])).toBe(
      'accepted',
    );
    // The same key once more in the root, under another log ID and operator: a copy of the log.
    const copied = structuredClone(json);
    const copy = {
      ...structuredClone(json.tlogs[1]),
      logId: json.tlogs[0].logId,
      baseUrl: 'https://copy.example',
      operator: 'copy.example',
    };
    copied.tlogs.push({
      ...copy,
      publicKey: json.tlogs[1].publicKey,
      logId: { keyId: Buffer.alloc(32, 5).toString('base64') },
    });
    expect(asks(parsed(copied), [mine, mine2])).toBe('accepted');
    copied.tlogs[0].operator = 'copy.example';
    expect(asks(parsed(copied), [mine, mine2])).toBe('bad-proof');
  });

  it('counts different time-stamp authorities, and no stranger, no copy and no operator twice', () => {
    const json = rootOf(own, other);
    const asks = (trustedRoot: ReturnType<typeof parsed>, stamps: Uint8Array[], requireTimestamps = 2) =>
      check(bundle([mine], stamps), { trustedRoot, requireTimestamps });
    const both = parsed(json);
    expect(asks(both, [stamp(own), stamp(other)])).toBe('accepted');
    expect(asks(both, [stamp(own), stamp(own)])).toBe('bad-timestamp');
    expect(asks(both, [stamp(own), stamp(third)])).toBe('bad-timestamp');
    expect(asks(both, [], 1)).toBe('bad-timestamp');
    expect(asks(both, [stamp(third)], 1)).toBe('bad-timestamp');
    expect(asks(both, [stamp(own), stamp(other)], 3)).toBe('bad-timestamp');
    const uris = { 'https://sigstore.example': 'a.example', 'https://other.example': 'a.example' };
    expect(asks(named(structuredClone(json), uris), [stamp(own), stamp(other)])).toBe('bad-timestamp');
    // A second certificate of the same authority.
    const doubled = structuredClone(json);
    doubled.timestampAuthorities[1].certChain.certificates.push(
      ...json.timestampAuthorities[0].certChain.certificates.slice(1),
    );
    doubled.timestampAuthorities[1].certChain.certificates.splice(1, 1);
    doubled.timestampAuthorities.push(json.timestampAuthorities[1]);
    expect(asks(parsed(doubled), [stamp(own), stamp(other)])).toBe('bad-timestamp');
    expect(
      check(bundle([mine], [stamp(own)]), {
        trustedRoot: parsed({ ...json, timestampAuthorities: [] }),
        requireTimestamps: 1,
      }),
    ).toBe('bad-timestamp');
  });

  it('is a whole number from 1 to 32, and needs what it counts', () => {
    for (const wrong of [0, -1, 33, 1.5, Number.NaN]) {
      expect(check(bundle([mine]), { requireLogs: wrong })).toBe('usage');
      expect(check(bundle([mine]), { requireTimestamps: wrong })).toBe('usage');
    }
    const { identity: _, trustedRoot: __, ...bare } = request(bundle([mine]));
    const key = keyInfo(newKeys());
    expect(code(() => verifyBundle({ ...bare, key, logKey: FakeLog.empty().key, requireTimestamps: 1 }))).toBe('usage');
  });
});

describe('evidence from the future', () => {
  const at = Date.parse(NOW) + 60_000;
  const minutes = (count: number) => count * 60_000;

  it('is refused, with both times', () => {
    const { bundle, v1, v2, stamp } = signature();
    for (const its of [bundle([v1(own)]), bundle([v2(own)], [stamp(own)])]) {
      expect(check(its, { now: at })).toBe('accepted');
      expect(check(its, { now: at - minutes(5) })).toBe('accepted');
      const now = at - minutes(5) - 1;
      expect(check(its, { now })).toBe('future-time');
      const both = new RegExp(`dated ${timeText(at)}, and the clock says ${timeText(now)}`);
      expect(() => verified(its, { now })).toThrow(both);
    }
    // A certificate's promise may be the latest.
    const early = bundle([v1(own, '2026-08-01T12:00:00Z')]);
    expect(check(early, { now: at - minutes(6) })).toBe('accepted');
    expect(check(early, { now: at - minutes(6) - 1 })).toBe('future-time');
  });

  it("is told by this machine's clock where no other time is given, and by none if it is endless", () => {
    const later = '2039-01-01T00:00:00Z';
    const { bundle, v1, v2, stamp } = signature();
    const far = bundle([v2(own)], [stamp(own, later)]);
    expect(check(far)).toBe('future-time');
    expect(check(bundle([v1(own, later)]))).toBe('future-time');
    expect(check(far, { now: Infinity })).toBe('bad-certificate');
    expect(check(far, { now: Number.NaN })).toBe('usage');
    // The core has no clock.
    const { identity: _, ...rest } = request(far);
    const parts = { ...rest, identity: () => ({}) };
    expect(code(() => checkUnderRoots(parts, noblePrimitives))).toBe('bad-certificate');
  });

  it('is what several trusted roots report, where another does not know the log', () => {
    const { bundle, v1 } = signature();
    const roots = [parsed(other.trustedRoot()), parsed(own.trustedRoot())];
    for (const trustedRoot of [roots, roots.toReversed()]) {
      expect(check(bundle([v1(own)]), { trustedRoot, now: at })).toBe('accepted');
      expect(check(bundle([v1(own)]), { trustedRoot, now: at - minutes(6) })).toBe('future-time');
      expect(check(bundle([v1(third)]), { trustedRoot, now: at })).toBe('bad-checkpoint');
    }
  });

  it('of strangers is not looked at', () => {
    const later = '2039-01-01T00:00:00Z';
    const { bundle, v1, stamp } = signature();
    expect(check(bundle([v1(own), v1(other, later)], [stamp(other, later)]), { now: at })).toBe('accepted');
    expect(check(bundle([v1(own)], [stamp(own), stamp(own, later)]), { now: at })).toBe('future-time');
  });

  it('is refused of a witness, whether its time is asked for or not', async () => {
    const [file, key, log, witness] = [
      text('hello'),
      testKey(),
      FakeLog.empty('log.example'),
      testWitness('w.example'),
    ];
    const bundle = await witnessed(messageBundle(file, key, log), [[witness, at / 1000]]);
    const policy = policyOf([log.vkey], [witness], 1);
    for (const witnessTime of [true, false]) {
      const given = { bundle, artifact: digestsOf(file), key: key.info, policy, witnessTime };
      expect(code(() => verifyBundle({ ...given, now: at - minutes(5) }))).toBe('accepted');
      expect(code(() => verifyBundle({ ...given, now: at - minutes(5) - 1 }))).toBe('future-time');
    }
  });
});
