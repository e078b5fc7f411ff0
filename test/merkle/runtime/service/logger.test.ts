/** The operator's log: what is written in which form, and that no text of a client acts on a terminal. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { RuntimeError } from '../../../../merkle/runtime/runtime-errors.ts';
import { makeLogger } from '../../../../merkle/runtime/service/logger.ts';

type Settings = Parameters<typeof makeLogger>[0];

function logger(settings: Settings, isTTY = false) {
  const lines: string[] = [];
  return { lines, ...makeLogger(settings, { isTTY, write: (line) => lines.push(line) }) };
}

const TIME = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z';
/** Terminals act on these, or hide them: ESC, CR, LF, BEL, DEL, the CSI of C1, a right-to-left override, a line separator. */
const HOSTILE = '\u001b[2J\r\n\u0007\u007f\u009b2J\u202e\u2028\u{e0041}';
const CONTROLS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

describe('the form', () => {
  it.each<[Settings['format'], boolean, boolean]>([
    ['auto', false, true],
    ['auto', true, false],
    [undefined, false, true],
    ['json', true, true],
    ['pretty', false, false],
  ])('%s, at a terminal %s: JSON %s', (format, isTTY, isJson) => {
    const { info, lines } = logger({ level: 'info', ...(format && { format }) }, isTTY);
    info({ size: 3 }, 'hello');
    expect(lines).toHaveLength(1);
    const json = new RegExp(`^\\{"level":"info","time":"${TIME}","size":3,"msg":"hello"\\}\\n$`);
    expect(lines[0]).toMatch(isJson ? json : new RegExp(`^${TIME} INFO  hello  size=3\\n$`));
  });

  it.each(['json', 'pretty'] as const)('%s has no token, wherever a caller put it', (format) => {
    const part = (text: string) => Buffer.from(text).toString('base64url');
    const rest = [part('{"sub":"release@example.com"}'), part('a signature')];
    for (const header of ['{"alg":"ES256"}', '{ "alg": "ES256", "typ": "JWT" }', '{\n "alg": "ES256", "kid": "1" }']) {
      const token = [part(header), ...rest].join('.');
      const { info, lines } = logger({ level: 'info', format });
      const err = new Error('no such path', { cause: new Error(`x\n${token}`) });
      info({ url: `/entries?access_token=${token}&x=1`, path: token.replaceAll('.', '%2E'), err }, `a call: ${token}`);
      for (const piece of [...token.split('.')]) expect(lines.join()).not.toContain(piece);
      expect(lines.join()).toContain('access_token=[token]&x=1');
    }
    const { info, lines } = logger({ level: 'info', format });
    info({ url: 'https://ewok-forest.example.com/eyJ/a.b', version: '1.2.3' }, 'as it is');
    expect(lines.join()).toContain('https://ewok-forest.example.com/eyJ/a.b');
  });

  it('names each level, and leaves out those below the one that is set', () => {
    const { info, warn, error, lines } = logger({ level: 'warn' });
    info({}, 'a');
    warn({}, 'b');
    error({}, 'c');
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(['warn', 'error']);
    const silent = logger({ level: 'silent' });
    silent.error({}, 'd');
    expect(silent.lines).toEqual([]);
  });

  it('quotes for people what is not one word', () => {
    const { warn, lines } = logger({ level: 'info' }, true);
    warn({ reason: 'it is "away"', size: 5n, list: ['a', 1], none: undefined }, 'not reached');
    expect(lines[0]).toMatch(/ WARN {2}not reached {2}reason="it is \\"away\\"" {2}size="5" {2}list=\["a",1\]\n$/);
  });
});

describe('an error', () => {
  const cause = Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC', headers: { token: 'secret-1' } });
  const error = new RuntimeError('file', 'cannot write the head', { cause });

  it('is logged with its code, its message and its causes, and with nothing else that it carries', () => {
    const { error: log, lines } = logger({ level: 'info' });
    log({ err: error }, 'the store failed');
    const { err } = JSON.parse(lines[0]!);
    expect(err).toMatchObject({ type: 'RuntimeError', code: 'file', message: 'cannot write the head' });
    expect(err.cause).toMatchObject({ code: 'ENOSPC', message: 'ENOSPC: no space left' });
    expect(err.stack).toContain('logger.test.ts');
    expect(lines[0]).not.toContain('secret-1');
  });

  it('is one sentence for people, with what its cause adds', () => {
    const { error: log, lines } = logger({ level: 'info' }, true);
    log({ err: error, size: 1 }, 'the store failed');
    log({ err: new Error('outer: inner', { cause: new Error('inner') }) }, 'again');
    log({ err: new AggregateError([], '') }, 'empty');
    log({ err: 'a text' }, 'no error');
    expect(lines.map((line) => line.slice(25))).toEqual([
      'ERROR the store failed: cannot write the head: ENOSPC: no space left  size=1\n',
      'ERROR again: outer: inner\n',
      'ERROR empty: AggregateError\n',
      'ERROR no error: a text\n',
    ]);
  });

  it('shows where it came from if STELE_DEBUG is set', () => {
    vi.stubEnv('STELE_DEBUG', '1');
    onTestFinished(() => void vi.unstubAllEnvs());
    const { error: log, lines } = logger({ level: 'info' }, true);
    log({ err: error }, 'the store failed');
    expect(lines[0]).toMatch(
      /\n {4}RuntimeError: cannot write the head\n {8}at .*logger\.test\.ts[\s\S]*\n {4}Error: ENOSPC/,
    );
  });

  it('that is its own cause ends', () => {
    const circle = new Error('a');
    circle.cause = circle;
    for (const isTTY of [true, false]) {
      const { error: log, lines } = logger({ level: 'info' }, isTTY);
      log({ err: circle }, 'round');
      expect(lines).toHaveLength(1);
    }
  });
});

it.each([true, false])('no text writes a control character or a second line (terminal: %s)', (isTTY) => {
  const { warn, lines } = logger({ level: 'info' }, isTTY);
  const err = new Error(HOSTILE, { cause: new Error(`${HOSTILE}2`) });
  warn({ url: HOSTILE, [HOSTILE]: { deep: [HOSTILE] }, err }, `said ${HOSTILE}`);
  expect(lines[0]!.slice(0, -1)).not.toMatch(CONTROLS);
  expect(lines[0]!.at(-1)).toBe('\n');
  // Programs read what was sent.
  if (!isTTY) expect(JSON.parse(lines[0]!)).toMatchObject({ url: HOSTILE, msg: `said ${HOSTILE}` });
});
