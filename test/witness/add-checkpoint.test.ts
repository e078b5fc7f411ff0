import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../merkle/bytes.ts';
import { checkpointVerifier, parseCosignature } from '../../merkle/cosignature.ts';
import { formatNote, formatSignature, openNote, parseNote, parseVerifierKey } from '../../merkle/note.ts';
import { EMPTY_ROOT } from '../../merkle/rfc6962.ts';
import { nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { formatAddCheckpoint, originHash, parseCosignatures } from '../../merkle/witness.ts';
import { damaged } from '../merkle/helpers.ts';
import { body, makeWitness, TestLog, treeOf } from './helpers.ts';

const log = new TestLog();

/** A witness that has cosigned `size`. */
async function witnessAt(size: number) {
  const witness = await makeWitness([log]);
  if (size > 0) expect((await witness.post(log.request(0, size))).status).toBe(200);
  return witness;
}

describe('a checkpoint that extends the last one', () => {
  it('is cosigned by the key that the witness names', async () => {
    const witness = await witnessAt(0);
    const before = Math.floor(Date.now() / 1000);
    const { status, body: lines } = await witness.post(log.request(0, 5));
    expect(status).toBe(200);
    const key = parseVerifierKey(witness.verifierKeys[0]!);
    expect(key.type).toBe(4);
    const [signature] = parseCosignatures(lines);
    const opened = openNote(parseNote(formatNote(log.text(5), [signature!])), [
      checkpointVerifier(key, nodeNotePrimitives),
    ]);
    expect(opened.verified).toHaveLength(1);
    const { timestamp } = parseCosignature(key, signature!.signature);
    expect(timestamp).toBeGreaterThanOrEqual(before);
    expect(timestamp).toBeLessThanOrEqual(Date.now() / 1000);
  });

  it('may have any size from there, and the same one again', async () => {
    const witness = await witnessAt(0);
    for (const [old, size] of [
      [0, 0],
      [0, 1],
      [1, 1],
      [1, 2],
      [2, 7],
      [7, 8],
      [8, 64],
      [64, 64],
    ] as const) {
      expect((await witness.post(log.request(old, size))).status, `${old} to ${size}`).toBe(200);
    }
  });

  it('may have extension lines, which are cosigned too', async () => {
    const witness = await witnessAt(0);
    const text = log.text(3, undefined, ['extension', 'another one']);
    const { status, body: lines } = await witness.post(body(0, [], log.note(text)));
    expect(status).toBe(200);
    const verifier = checkpointVerifier(parseVerifierKey(witness.verifierKeys[0]!), nodeNotePrimitives);
    expect(openNote(parseNote(formatNote(text, parseCosignatures(lines))), [verifier]).verified).toHaveLength(1);
    expect(() => openNote(parseNote(formatNote(log.text(3), parseCosignatures(lines))), [verifier])).toThrow();
  });

  it('may have 100 signatures, of which all but the log’s are passed over', async () => {
    const witness = await witnessAt(0);
    const text = log.text(3);
    const others = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ ...log.signature(text), name: `other${i}` }));
    expect((await witness.post(body(0, [], log.note(text, others(99))))).status).toBe(200);
    const { body: served } = await witness.get(`/${originHash(log.origin)}/checkpoint`);
    expect(parseNote(served).signatures.map(({ name }) => name)).toEqual(['log.test', 'witness.test/w']);
    const tooMany = `${log.note(text, others(99))}${formatSignature(others(1)[0]!)}`;
    expect((await witness.post(body(3, [], tooMany))).status).toBe(400);
  });

  it('is there for monitors, with the signatures of both', async () => {
    const witness = await witnessAt(0);
    const path = `/${originHash(log.origin)}/checkpoint`;
    expect((await witness.get(path)).status).toBe(404);
    const { body: lines } = await witness.post(log.request(0, 9));
    const { status, body: note } = await witness.get(path);
    expect(status).toBe(200);
    expect(note).toBe(`${log.note(log.text(9))}${lines}`);
    expect((await witness.get(`/${originHash('other')}/checkpoint`)).status).toBe(404);
    expect((await witness.get(`/${originHash(log.origin).toUpperCase()}/checkpoint`)).status).toBe(404);
  });
});

describe('the work of a request', () => {
  const repeated = (text: string, count: number) =>
    `${log.note(text)}${formatSignature(log.signature(text)).repeat(count)}`;

  it('is that of one signature where a line is repeated', async () => {
    const witness = await witnessAt(0);
    expect((await witness.post(body(0, [], repeated(log.text(5), 99)))).status).toBe(200);
    // The stored checkpoint has the line once.
    const { body: note } = await witness.get(`/${originHash(log.origin)}/checkpoint`);
    expect(parseNote(note).signatures).toHaveLength(2);
  });

  it('is refused before it is done where the log’s key has many different lines', async () => {
    const witness = await witnessAt(0);
    const text = log.text(5);
    const wrong = (i: number) => {
      const line = log.signature(text);
      return formatSignature({
        ...line,
        signature: Uint8Array.from(line.signature, (byte, at) => (at === 9 ? byte ^ i : byte)),
      });
    };
    const two = await witness.post(body(0, [], log.note(text) + wrong(1)));
    expect(two.status).toBe(403);
    const three = await witness.post(body(0, [], log.note(text) + wrong(1) + wrong(2)));
    expect(three).toMatchObject({ status: 400, body: expect.stringContaining('more than 2 times') });
  });

  it('is bounded for all requests together', async () => {
    const witness = await makeWitness([log], { flags: { 'limits-signing': '2' } });
    const all = await Promise.all(Array.from({ length: 5 }, () => witness.post(log.request(0, 5))));
    expect(all.map(({ status }) => status).sort()).toEqual([200, 409, 503, 503, 503]);
    for (const { status, retry } of all) if (status === 503) expect(retry).toBe('1');
  });
});

describe('400', () => {
  const note = log.note(log.text(9));
  const cases: [string, Uint8Array | string][] = [
    ['an empty body', ''],
    ['no empty line', 'old 5\n'],
    ['no empty line before the note', `old 5\n${note}`],
    ['CRLF', body(5, log.proof(5, 9), note).replaceAll('\n', '\r\n')],
    ['CRLF in the head alone', `old 5\r\n\n${note}`],
    ['CRLF in the note', body(5, log.proof(5, 9), note.replace('\n9\n', '\n9\r\n'))],
    ['no final newline', body(5, log.proof(5, 9), note.slice(0, -1))],
    ['an old size with a leading zero', body('05', log.proof(5, 9), note)],
    ['an old size with a sign', body('+5', log.proof(5, 9), note)],
    ['an old size of 2^53', body(String(2 ** 53), [], note)],
    ['no old size', body('', log.proof(5, 9), note)],
    ['an old size in capitals', `OLD 5\n\n${note}`],
    ['two spaces', `old  5\n\n${note}`],
    ['a proof line that is no base64', body(5, ['not base64'], note)],
    ['a proof line without padding', body(5, ['A'.repeat(43)], note)],
    ['a hash of 31 bytes', body(5, [new Uint8Array(31)], note)],
    ['64 proof lines', body(5, new Array(64).fill(new Uint8Array(32)), note)],
    ['a note without signatures', body(5, log.proof(5, 9), log.text(9))],
    ['a signature line that is none', body(5, log.proof(5, 9), `${note}what\n`)],
    ['an old size above the size', body(10, [], note)],
  ];
  it.each(cases)('%s', async (_name, payload) => {
    const witness = await witnessAt(5);
    const reply = await witness.post(payload);
    expect(reply.status, reply.body).toBe(400);
    expect(reply.type).toContain('text/plain');
    expect(witness.witness.cosigned(log.origin)?.size).toBe(5);
  });

  const signed: [string, string][] = [
    ['a size with a leading zero', log.text(9).replace('\n9\n', '\n09\n')],
    ['a size of 2^53', log.text(9).replace('\n9\n', `\n${2 ** 53}\n`)],
    ['a size of 2^64', log.text(9).replace('\n9\n', '\n18446744073709551616\n')],
    ['a negative size', log.text(9).replace('\n9\n', '\n-9\n')],
    ['a root of 31 bytes', log.text(9).replace(/\n[^\n]{44}\n$/, `\n${Buffer.alloc(31).toString('base64')}\n`)],
    ['no root', log.text(9).split('\n').slice(0, 2).join('\n').concat('\n')],
    ['an empty extension line', `${log.text(9)}\nafter\n`],
  ];
  it.each(signed)('%s, signed by the log', async (_name, text) => {
    const witness = await witnessAt(5);
    expect((await witness.post(body(5, [], log.note(text)))).status).toBe(400);
  });

  it('leaves a body over the limit at 413', async () => {
    const witness = await witnessAt(0);
    expect((await witness.post(body(0, [], `${log.note(log.text(3))}${'x'.repeat(140_000)}`))).status).toBe(413);
  });
});

describe('403', () => {
  const text = log.text(9);
  const cases: [string, string][] = [
    ['no signature of a known key', formatNote(text, [{ ...log.signature(text), name: 'other' }])],
    ['another key under the name of the log', new TestLog('log.test', log.tree).note(text)],
    ['a wrong key ID', formatNote(text, [{ ...log.signature(text), keyId: Uint8Array.of(1, 2, 3, 4) }])],
    ['a signature over another text', formatNote(text, [log.signature(log.text(8))])],
    ['one that verifies beside one that does not', formatNote(text, [log.signature(text), log.signature(log.text(8))])],
  ];
  it.each(cases)('%s', async (_name, note) => {
    const witness = await witnessAt(5);
    const reply = await witness.post(body(5, log.proof(5, 9), note));
    expect(reply.status, reply.body).toBe(403);
    expect(witness.witness.cosigned(log.origin)?.size).toBe(5);
  });
});

it('404 for an unknown origin, whatever else is wrong', async () => {
  const witness = await witnessAt(0);
  const other = new TestLog('other.test', log.tree);
  expect((await witness.post(other.request(0, 5))).status).toBe(404);
  expect((await witness.post('old x\n\nother.test\n')).status).toBe(404);
});

describe('409, with the size that the witness has', () => {
  it.each([
    [0, 0, 9],
    [5, 0, 9],
    [5, 4, 9],
    [5, 6, 9],
    [5, 4, 4],
    [5, 0, 5],
  ])('at %i, from %i to %i', async (at, old, size) => {
    const witness = await witnessAt(at);
    if (at === 0) {
      expect((await witness.post(body(3, log.proof(3, 9), log.note(log.text(9))))).body).toBe('0\n');
      return;
    }
    const reply = await witness.post(log.request(old, size));
    expect(reply.status).toBe(409);
    expect(reply.type).toBe('text/x.tlog.size');
    expect(reply.body).toBe(`${at}\n`);
  });
});

describe('422', () => {
  it('for every proof that was damaged', async () => {
    const witness = await witnessAt(5);
    const note = encodeUtf8(log.note(log.text(23)));
    for (const proof of damaged(log.proof(5, 23))) {
      const reply = await witness.post(formatAddCheckpoint({ oldSize: 5, proof, note }));
      expect(reply.status, reply.body).toBe(422);
    }
    expect(witness.witness.cosigned(log.origin)?.size).toBe(5);
    expect((await witness.post(log.request(5, 23))).status).toBe(200);
  });

  it('for a proof that is not empty from size 0, and between equal sizes', async () => {
    const witness = await witnessAt(0);
    const extra = [new Uint8Array(32)];
    expect((await witness.post(body(0, extra, log.note(log.text(5))))).status).toBe(422);
    expect((await witness.post(log.request(0, 5))).status).toBe(200);
    expect((await witness.post(body(5, extra, log.note(log.text(5))))).status).toBe(422);
  });

  it('for size 0 with a wrong root', async () => {
    const witness = await witnessAt(0);
    expect((await witness.post(body(0, [], log.note(log.text(0, new Uint8Array(32)))))).status).toBe(422);
    expect((await witness.post(body(0, [], log.note(log.text(0, EMPTY_ROOT))))).status).toBe(200);
    expect((await witness.post(body(0, [], log.note(log.text(0, new Uint8Array(32)))))).status).toBe(422);
  });

  it('for an equal size with another root', async () => {
    const witness = await witnessAt(5);
    const fork = treeOf('fork', 64);
    expect((await witness.post(body(5, [], log.note(log.text(5, fork.roots[5]))))).status).toBe(422);
  });

  it('for a tree that does not hold the last one', async () => {
    const witness = await witnessAt(5);
    expect((await witness.post(log.request(5, 9, treeOf('fork', 64)))).status).toBe(422);
  });
});

describe('a log with several keys', () => {
  it('is cosigned with any of them, and one that is disabled counts no more', async () => {
    const second = new TestLog('log.test', log.tree);
    const witness = await makeWitness([log]);
    expect((await witness.post(second.request(0, 5))).status).toBe(403);
    await witness.logs.add(second.vkey);
    expect((await witness.post(log.request(0, 5))).status).toBe(200);
    expect((await witness.post(second.request(5, 9))).status).toBe(200);
    await witness.logs.disable(log.vkey);
    expect((await witness.post(log.request(9, 12))).status).toBe(403);
    expect((await witness.post(second.request(9, 12))).status).toBe(200);
  });
});

describe('a log that was removed', () => {
  it('finds its size again, and no other history is signed', async () => {
    const witness = await witnessAt(5);
    await witness.logs.disable(log.origin);
    expect((await witness.post(log.request(5, 9))).status).toBe(404);
    await witness.logs.add(log.vkey);
    expect((await witness.post(log.request(0, 9))).status).toBe(409);
    expect((await witness.post(log.request(5, 9, treeOf('fork', 64)))).status).toBe(422);
    expect((await witness.post(log.request(5, 9))).status).toBe(200);
  });
});

describe('cosignatures', () => {
  it('come from both keys where the witness has both', async () => {
    const witness = await makeWitness([log], { flags: { cosignatures: 'both' } });
    const { body: lines } = await witness.post(log.request(0, 5));
    const keys = witness.verifierKeys.map(parseVerifierKey);
    expect(keys.map(({ type }) => type)).toEqual([4, 6]);
    const note = formatNote(log.text(5), parseCosignatures(lines));
    expect(
      openNote(
        parseNote(note),
        keys.map((key) => checkpointVerifier(key, nodeNotePrimitives)),
      ).verified,
    ).toHaveLength(2);
  });

  it('are the same for the same checkpoint within a few seconds, and new ones later', async () => {
    const witness = await witnessAt(0);
    const first = await witness.post(log.request(0, 5));
    const again = await witness.post(log.request(5, 5));
    expect(again).toEqual(first);
    const other = await witness.post(body(5, [], log.note(log.text(5, undefined, ['extension']))));
    expect(other.status).toBe(200);
    expect(other.body).not.toBe(first.body);
  });
});

describe('a log whose origin is not the name of its key', () => {
  const apart = new TestLog('go.sum database tree', undefined, 'sum.test');

  it('is witnessed under its origin, and under no other', async () => {
    const witness = await makeWitness();
    await witness.logs.add(apart.vkey);
    expect((await witness.post(apart.request(0, 3))).status).toBe(404);
    await witness.logs.add(apart.vkey, { origin: apart.origin });
    const reply = await witness.post(apart.request(0, 3));
    expect(reply.status).toBe(200);
    const shown = await witness.get(`/${originHash(apart.origin)}/checkpoint`);
    expect(shown.body).toMatch(/^go\.sum database tree\n3\n/);
    expect(shown.body).toContain('\n— sum.test ');
    expect((await witness.post(apart.request(3, 9))).status).toBe(200);
    // The key signs for this origin alone.
    const named = body(0, [], apart.note(apart.text(3).replace(apart.origin, 'sum.test')));
    expect((await witness.post(named)).status).toBe(404);
    await witness.logs.add(log.vkey);
    const crossed = body(0, [], apart.note(apart.text(3).replace(apart.origin, log.origin)));
    expect((await witness.post(crossed)).status).toBe(403);
  });

  it('is disabled by its origin or its key, and keeps both', async () => {
    const witness = await makeWitness();
    await witness.logs.add(apart.vkey, { origin: apart.origin });
    expect(await witness.logs.disable(apart.origin)).toEqual([apart.vkey]);
    expect((await witness.post(apart.request(0, 3))).status).toBe(404);
    await witness.logs.add(apart.vkey);
    expect((await witness.post(apart.request(0, 3))).status).toBe(200);
    expect(await witness.logs.disable(apart.vkey)).toEqual([apart.vkey]);
  });
});

describe('queries a day (qpd)', () => {
  const DAY = 86_400_000;
  async function limited(qpd: string) {
    const clock = { ms: 0 };
    const witness = await makeWitness([], {
      open: { monotonic: () => clock.ms, clocks: { wall: () => clock.ms, steady: () => clock.ms } },
    });
    await witness.logs.add(log.vkey, { qpd });
    return { clock, witness };
  }

  it('are enforced, and come back with the next day', async () => {
    const { clock, witness } = await limited('2');
    const other = new TestLog('other.test', log.tree);
    await witness.logs.add(other.vkey);
    expect((await witness.post(log.request(0, 1))).status).toBe(200);
    clock.ms = 3_600_000;
    expect((await witness.post(log.request(1, 2))).status).toBe(200);
    const refused = await witness.post(log.request(2, 3));
    expect(refused).toMatchObject({ status: 429, retry: String(23 * 3600) });
    expect(refused.body).toContain('2 times a day');
    expect((await witness.post(other.request(0, 1))).status).toBe(200);
    clock.ms = DAY - 1;
    expect(await witness.post(log.request(2, 3))).toMatchObject({ status: 429, retry: '1' });
    clock.ms = DAY;
    expect((await witness.post(log.request(2, 3))).status).toBe(200);
  });

  it('are not used up by what was refused', async () => {
    const { witness } = await limited('2');
    expect((await witness.post(log.request(0, 1))).status).toBe(200);
    const stranger = new TestLog(log.origin, log.tree);
    for (let i = 0; i < 3; i++) {
      expect((await witness.post(stranger.request(1, 2))).status).toBe(403);
      expect((await witness.post(log.request(0, 2))).status).toBe(409);
      expect((await witness.post(log.request(1, 2, treeOf('fork', 64)))).status).toBe(422);
    }
    expect((await witness.post(log.request(1, 2))).status).toBe(200);
    expect((await witness.post(log.request(2, 3))).status).toBe(429);
  });

  it('hold back a checkpoint that is sent again, without taking from the new ones', async () => {
    const { clock, witness } = await limited('2');
    const again = body(4, [], log.note(log.text(4)));
    expect((await witness.post(log.request(0, 4))).status).toBe(200);
    for (const [ms, status] of [
      [10_000, 200],
      [20_000, 200],
      [30_000, 429],
    ]) {
      clock.ms = ms!;
      expect((await witness.post(again)).status).toBe(status);
    }
    expect((await witness.post(log.request(4, 5))).status).toBe(200);
    expect((await witness.post(log.request(5, 6))).status).toBe(429);
  });

  it('are the fewest of the keys of one log', async () => {
    const { witness } = await limited('9');
    await witness.logs.add(new TestLog(log.origin, log.tree).vkey, { qpd: '1' });
    expect((await witness.post(log.request(0, 1))).status).toBe(200);
    expect((await witness.post(log.request(1, 2))).status).toBe(429);
  });
});

describe('limits', () => {
  it('hold one log back without the others', async () => {
    const other = new TestLog('other.test', log.tree);
    const witness = await makeWitness([log, other], {
      flags: { 'rate-limit-per-origin': '2', 'rate-limit-window': '30s' },
    });
    expect((await witness.post(log.request(0, 1))).status).toBe(200);
    expect((await witness.post(log.request(1, 2))).status).toBe(200);
    const reply = await witness.post(log.request(2, 3));
    expect(reply.status).toBe(429);
    expect(Number(reply.retry)).toBeGreaterThan(20);
    expect((await witness.post(other.request(0, 1))).status).toBe(200);
  });

  it('hold one address back', async () => {
    const witness = await makeWitness([log], {
      flags: { 'rate-limit-per-address': '2', 'rate-limit-window': '60s' },
    });
    expect((await witness.post(log.request(0, 1))).status).toBe(200);
    expect((await witness.post(log.request(1, 2))).status).toBe(200);
    const reply = await witness.post(log.request(2, 3));
    expect(reply.status).toBe(429);
    expect(Number(reply.retry)).toBeGreaterThan(50);
  });
});

it('takes a body under whatever name, and under none', async () => {
  const witness = await makeWitness([log]);
  for (const type of ['', 'foo', 'text/plain', 'application/json', 'a/b; c="']) {
    const payload = Buffer.from(log.request(0, 1));
    const headers = { 'content-type': type };
    const { statusCode } = await witness.app.inject({ method: 'POST', url: '/add-checkpoint', payload, headers });
    expect([type, statusCode]).toEqual([type, type === '' ? 200 : 409]);
  }
});
