/** What the last update found says the same as a whole load of the local trust, or nothing. */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClientError } from '../../../../client/errors.ts';
import { checkedTrust } from '../../../../client/trust/tuf/checked-store.ts';
import { loadTrust } from '../../../../client/trust/tuf/load-trust.ts';
import { TufMaker } from '../../../support/tuf-maker.ts';
import { DAY, Followed } from './followed.ts';

let followed: Followed;
const at = (name: string) => join(followed.store.dir, name);
const NAMES = [
  'policy',
  'trusted_root.v0.2.json',
  'trusted_root.json',
  'monitor_config.json',
  'log.test.last-checkpoint',
  'log.vkey',
];

/** All that a command can learn of the trust: targets, warnings, or the error. */
function learned(load: (warn: (sentence: string) => void) => ReturnType<typeof checkedTrust>): unknown {
  const warnings: string[] = [];
  const orError = (work: () => unknown) => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      return `${error.code}: ${error.message}`;
    }
  };
  const trust = orError(() => load((sentence) => warnings.push(sentence)));
  if (typeof trust === 'string' || trust === undefined) return { trust, warnings };
  const { mirror, lastCheckpoints, target } = trust as NonNullable<ReturnType<typeof checkedTrust>>;
  const targets = NAMES.map((name) => orError(() => target(name)?.toString()));
  const { usableUntil } = trust as NonNullable<ReturnType<typeof checkedTrust>>;
  return { mirror, lastCheckpoints, warnings, targets, usableUntil };
}

const byChecked = (now: number, maxAge?: number) =>
  learned((warn) => checkedTrust(followed.store.dir, { now, maxAge, warn }));
const byLoad = (now: number, maxAge?: number) => learned((warn) => loadTrust(followed.store, { now, maxAge, warn }));
const saysNothing = () => expect(checkedTrust(followed.store.dir, { now: Date.now() })).toBeUndefined();

beforeEach(async () => {
  const maker = new TufMaker();
  maker.target('log.test.last-checkpoint', 'the last one\n');
  maker.target('__proto__.vkey', 'a key\n');
  // Asked for all that the top-level role does not have, and expired earlier.
  maker.delegate('team', ['*']);
  maker.target('monitor_config.json', 'of the team\n', 'team');
  maker.delegated.get('team')!.body.expires = maker.expiry(4);
  followed = await Followed.start(maker);
  await followed.use();
});
afterEach(async () => await followed.close());

describe('what the last update found', () => {
  it.each([-1, 0, 0.4, 2, 5, 8, 400])('says what a whole load says, %d days later', (days) => {
    const now = Date.now() + days * DAY;
    for (const maxAge of [undefined, 0.1 * DAY, 3 * DAY]) {
      expect(byChecked(now, maxAge)).toEqual(byLoad(now, maxAge));
      expect(byChecked(now, maxAge)).not.toMatchObject({ trust: undefined });
    }
  });

  it('says until when it may be used, with what was taken of it', () => {
    const of = (now: number, maxAge?: number) => checkedTrust(followed.store.dir, { now, maxAge })!;
    const ends = (now: number, maxAge?: number) => () => of(now, maxAge).target('monitor_config.json');
    const trust = of(Date.now());
    expect(() => of(trust.usableUntil)).not.toThrow();
    expect(() => of(trust.usableUntil + 1)).toThrow(/expired at/);
    trust.target('monitor_config.json');
    expect(ends(trust.usableUntil)).not.toThrow();
    expect(ends(trust.usableUntil + 1)).toThrow(/role team, version 1, expired at/);
    const { usableUntil } = of(Date.now(), DAY);
    expect(ends(usableUntil, DAY)).not.toThrow();
    expect(ends(usableUntil + 1, DAY)).toThrow('longer than --max-trust-age');
  });

  it('knows also of a target that is not there by whose word it is not there', () => {
    const trust = checkedTrust(followed.store.dir, { now: Date.now() + 5 * DAY })!;
    expect(trust.target('policy')).toBeDefined();
    expect(() => trust.target('trusted_root.v0.2.json')).toThrow(/role team, version 1, expired at/);
    expect(checkedTrust(followed.store.dir, { now: Date.now() })!.target('trusted_root.v0.2.json')).toBeUndefined();
    for (const name of ['other', '__proto__', 'constructor'])
      expect(() => trust.target(name)).toThrow(/no command uses/);
  });

  it('says nothing where any byte of it is changed, or it is cut off', () => {
    const good = readFileSync(at('checked'));
    for (let i = 0; i < good.length; i++) {
      const bad = Buffer.from(good);
      bad[i]! ^= 1;
      writeFileSync(at('checked'), bad);
      saysNothing();
    }
    for (const length of [0, 64, 65, good.length - 1]) {
      writeFileSync(at('checked'), good.subarray(0, length));
      saysNothing();
    }
    writeFileSync(at('checked'), good);
    expect(byChecked(Date.now())).not.toMatchObject({ trust: undefined });
  });

  it('says nothing of another state, such as the one of an update that failed', async () => {
    const { maker } = followed;
    maker.newRoot(maker.keys.root);
    rmSync(join(followed.store.dir, 'checked'));
    await followed.update();
    expect(existsSync(at('checked'))).toBe(true);
    maker.newRoot(maker.keys.root);
    maker.files.set('timestamp.json', Buffer.from('{}'));
    await expect(followed.update()).rejects.toMatchObject({ code: 'tuf-malformed' });
    saysNothing();
    writeFileSync(at('state.json'), '{');
    saysNothing();
  });

  it('says nothing in the form of another version', () => {
    const text = readFileSync(at('checked'), 'utf8').slice(65);
    const note = (json: string) => {
      writeFileSync(at('checked'), `${createHash('sha256').update(json).digest('hex')}\n${json}`);
    };
    note(text);
    expect(byChecked(Date.now())).toEqual(byLoad(Date.now()));
    note(text.replace('stele-checked-1', 'stele-checked-0'));
    saysNothing();
  });

  it('leaves the new state where the note cannot be written', async () => {
    followed.change('second\n');
    rmSync(at('checked'));
    mkdirSync(join(at('checked'), 'in the way'), { recursive: true });
    await expect(followed.update()).rejects.toMatchObject({ code: 'file' });
    saysNothing();
    expect(await followed.policy()).toBe('second\n');
    rmSync(at('checked'), { recursive: true });
    expect(await followed.update()).toBe(false);
    expect(byChecked(Date.now())).toEqual(byLoad(Date.now()));
  });

  it('is written again by the next update, also where nothing else is new', async () => {
    rmSync(at('checked'));
    saysNothing();
    expect(await followed.update()).toBe(false);
    expect(byChecked(Date.now())).toEqual(byLoad(Date.now()));
  });

  it('gives no target that was changed, and nothing that others may write', async () => {
    const file = readdirSync(at('files')).find((name) => readFileSync(join(at('files'), name), 'utf8') === 'first\n')!;
    const trust = checkedTrust(followed.store.dir, { now: Date.now() })!;
    writeFileSync(join(at('files'), file), 'other\n');
    expect(() => trust.target('policy')).toThrow(/was changed/);
    chmodSync(at('checked'), 0o666);
    saysNothing();
    await followed.update();
    expect(byChecked(Date.now())).not.toMatchObject({ trust: undefined });
    for (const path of ['state.json', 'files', '.']) {
      chmodSync(at(path), 0o777);
      expect(() => checkedTrust(followed.store.dir, { now: Date.now() }), path).toThrow(/can be written by others/);
      chmodSync(at(path), 0o755);
    }
  });

  it('says nothing where no repository is followed', async () => {
    await followed.store.forget();
    saysNothing();
    expect(existsSync(at('checked'))).toBe(false);
  });
});
