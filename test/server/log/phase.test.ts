/** The whole table of phases: each phase and each call, each pair of phases, and what the calls of a real log answer. */
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { REQUEST_ERRORS, ServerError } from '../../../server/errors.ts';
import type { Log } from '../../../server/log/log.ts';
import { type Call, Life, PHASES, type Phase, type PhaseName } from '../../../server/log/phase.ts';
import type { LogOptions } from '../../../server/log/types.ts';
import type { Stores } from '../../../server/store/types.ts';
import { Faults, faultyStores } from '../../support/faulty.ts';
import { bodyOf, openTestLog, sharedIngest, tempDir } from '../../support/log.ts';
import { MemoryDisk, openMemoryStores } from '../../support/memory-stores.ts';
import { turns } from '../../support/until.ts';

const why = new ServerError('rollback', 'the witness w holds a checkpoint of 9 entries');
const ALL: Readonly<Record<PhaseName, Phase>> = {
  confirming: { name: 'confirming' },
  running: { name: 'running' },
  recovering: { name: 'recovering' },
  draining: { name: 'draining' },
  halted: { name: 'halted', why },
  broken: { name: 'broken', why },
  closed: { name: 'closed' },
};
const NAMES = Object.keys(ALL) as PhaseName[];
const CALLS: readonly Call[] = ['submit', 'add', 'read', 'freeze'];

/** What each call gets, written down once more: undefined where it goes on. */
const EXPECTED: Readonly<Record<PhaseName, readonly (keyof typeof REQUEST_ERRORS | undefined)[]>> = {
  //            submit          add             read        freeze
  confirming: ['unconfirmed', 'unconfirmed', undefined, undefined],
  running: [undefined, undefined, undefined, undefined],
  recovering: ['store-failed', 'store-failed', undefined, undefined],
  draining: ['draining', 'draining', undefined, undefined],
  halted: ['halted', 'halted', undefined, 'halted'],
  broken: ['broken', 'broken', undefined, 'broken'],
  closed: ['draining', 'draining', 'draining', 'draining'],
};

const AFTER: Readonly<Record<PhaseName, readonly PhaseName[]>> = {
  confirming: ['running', 'recovering', 'draining', 'halted', 'broken', 'closed'],
  running: ['recovering', 'draining', 'halted', 'broken', 'closed'],
  recovering: ['running', 'confirming', 'draining', 'halted', 'broken', 'closed'],
  draining: ['halted', 'broken', 'closed'],
  halted: ['closed'],
  broken: ['closed'],
  closed: [],
};

const READY: Readonly<Record<PhaseName, string | undefined>> = {
  confirming: 'the log signs nothing and takes no entry before its witnesses confirm that no newer tree of it exists',
  running: undefined,
  recovering: 'the store failed and is being opened again',
  draining: 'the log is shutting down',
  halted: why.message,
  broken: 'the log has stopped: what it stored contradicts itself',
  closed: 'the log has stopped',
};

/** A life that has come to this phase. */
function lifeIn(name: PhaseName): Life {
  const life = new Life(name === 'confirming' ? name : 'running');
  if (name !== 'running' && name !== 'confirming') expect(life.enter(ALL[name])).toBe(true);
  expect(life.phase.name).toBe(name);
  return life;
}

describe('the table of phases', () => {
  it('has every phase', () => {
    expect(Object.keys(PHASES).sort()).toEqual(NAMES.toSorted());
  });

  it.each(NAMES.flatMap((name) => CALLS.map((call, i) => [name, call, EXPECTED[name][i]] as const)))(
    '%s: %s: %s',
    (name, call, code) => {
      const life = lifeIn(name);
      expect(life.unavailable(call)).toBe(code);
      if (code === undefined) {
        life.check(call);
        return;
      }
      expect(() => life.check(call)).toThrow(expect.objectContaining({ code, message: REQUEST_ERRORS[code].message }));
      // Each is a 503 that clients of Rekor v2 try again.
      expect(REQUEST_ERRORS[code]).toMatchObject({ status: 503, grpc: 14, retry: true });
    },
  );

  it.each(NAMES)('%s: what it says of itself', (name) => {
    expect(lifeIn(name).notReady()).toBe(READY[name]);
  });

  it.each(NAMES.flatMap((from) => NAMES.map((to) => [from, to] as const)))('from %s to %s', (from, to) => {
    const life = lifeIn(from);
    const allowed = AFTER[from].includes(to);
    expect(life.enter(ALL[to])).toBe(allowed);
    expect(life.phase.name).toBe(allowed ? to : from);
  });
});

describe('a log in each phase', () => {
  let log: Log | undefined;
  let confirmed: () => void;
  let dir: Awaited<ReturnType<typeof tempDir>>;
  afterEach(async () => {
    await log?.close();
    log = undefined;
    await dir.remove();
  });
  afterAll(() => sharedIngest().close());

  /** Brings a real log with one entry into the phase. */
  async function logIn(name: PhaseName): Promise<Log> {
    dir = await tempDir();
    const disk = new MemoryDisk();
    const faults = new Faults();
    let broken: ServerError | undefined;
    let conflict: ((error: ServerError, evidence: string) => void) | undefined;
    const openStores = async (): Promise<Stores> => {
      if (broken !== undefined) throw broken;
      return faultyStores(await openMemoryStores(disk), faults);
    };
    let waits = false;
    const options: Partial<LogOptions> = {
      openStores,
      entries: 'raw',
      cosigner: {
        check: async () => {},
        start: (hooks) => {
          conflict = hooks.conflict;
          confirmed = hooks.confirmed;
        },
        awaitConfirmation: () => waits,
        askUnpublished: async () => {},
        adopt: () => {},
        quorum: async (note) => note,
        collect: async (note) => note,
        notReady: () => [],
        whyLate: () => undefined,
        alarms: () => [],
        close: () => {},
      },
    };
    let opened = await openTestLog(dir.path, options);
    log = opened;
    await opened.add(Buffer.from('one'));
    await expect.poll(() => opened.publishedSize).toBe(1);
    if (name === 'confirming') {
      await opened.close();
      waits = true;
      opened = await openTestLog(dir.path, options);
      log = opened;
    }
    if (name === 'recovering' || name === 'broken') {
      broken = new ServerError(name === 'broken' ? 'corrupt' : 'store', 'injected');
      faults.failNext('not-persisted');
      await expect(opened.add(Buffer.from('two'))).rejects.toMatchObject({ code: 'store-failed' });
    }
    if (name === 'halted') conflict!(why, 'the evidence');
    if (name === 'draining') await opened.drain();
    if (name === 'closed') await opened.close();
    await expect.poll(() => opened.notReady()).toEqual(READY[name] === undefined ? [] : [READY[name]]);
    return opened;
  }

  it.each(NAMES)('%s', async (name) => {
    const at = await logIn(name);
    const [submit, add, read] = EXPECTED[name];
    const answers = {
      submit: await at.submit(bodyOf('x'), 'json').then(
        () => undefined,
        ({ code }) => code,
      ),
      add: await at.add(Buffer.from('three')).then(
        () => undefined,
        ({ code }) => code,
      ),
      tile: await at.tile(0, 0, 1).then(
        (bytes) => (bytes === undefined ? 'missing' : undefined),
        ({ code }) => code,
      ),
      entry: await at.entry(0).then(
        (entry) => (entry === undefined ? 'missing' : undefined),
        ({ code }) => code,
      ),
    };
    expect(answers).toEqual({ submit, add, tile: read, entry: read });
  });

  it.each(NAMES)('%s: freeze', async (name) => {
    const at = await logIn(name);
    const code = EXPECTED[name][3];
    if (name === 'confirming') {
      // It waits for the witnesses, and signs after them.
      const frozen = at.freeze();
      await turns();
      expect(at.info.status).toBe('open');
      confirmed();
      expect(await frozen).toContain('\nLog frozen — ');
    } else if (name === 'recovering') {
      // It waits for the store; the end of the log ends the wait.
      const frozen = at.freeze().catch((error: { code: string }) => error.code);
      await at.close();
      expect(await frozen).toBe('draining');
    } else if (code === undefined) {
      expect(await at.freeze()).toContain('\nLog frozen — ');
    } else {
      await expect(at.freeze()).rejects.toMatchObject({ code });
    }
  });
});
