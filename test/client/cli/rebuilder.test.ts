/** `stele index --witness` as processes, over two logs that are served here, with an operator that can lie. */
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkpointVerifier, parseCosignature } from '../../../merkle/cosignature.ts';
import { formatNote, openNote, parseNote, parseVerifierKey } from '../../../merkle/note.ts';
import { nodeNotePrimitives } from '../../../merkle/runtime/crypto/verify.ts';
import { parseCosignatures } from '../../../merkle/witness.ts';
import { FakeLog, View } from '../../support/fake-log.ts';
import { hashedRekord, madeUpKey } from '../../support/fulcio.ts';
import { IndexOperator } from '../../support/index-operator.ts';
import { later, tempDir } from '../../support/log-files.ts';
import { checkpointPath, type RebuilderProcess, startRebuilder } from '../../support/rebuilder-process.ts';
import { until } from '../../support/until.ts';

const entries = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) =>
    hashedRekord({ key: madeUpKey(`key ${(from + i) % 5}`) }, `artifact ${from + i}`),
  );

async function served(count: number) {
  const operator = new IndexOperator(new FakeLog(new View(entries(count)), 'input.test'));
  operator.publish();
  const [input, output] = [await operator.input.listen(), await operator.output.listen()];
  const args = [
    ...['--input-url', input, '--input-keys', operator.input.vkey],
    ...['--output-url', output, '--output-keys', operator.output.vkey],
    ...['--rebuild-poll', '1h', '--rebuild-threads', '0', '--rebuild-retry', '10ms'],
  ];
  const start = async (dir = tempDir(), name = 'rebuilder.test/r', more: readonly string[] = []) => {
    const rebuilder = await startRebuilder(dir, name, [...args, ...more]);
    later(() => rebuilder.kill());
    return { dir, rebuilder };
  };
  const grow = (more: number) => {
    operator.input.view.grow(entries(more, operator.input.size));
    operator.input.size = operator.input.view.entries.length;
  };
  return { operator, start, grow };
}

/** The time in the cosignature, which verifies. */
function timeOf(rebuilder: RebuilderProcess, log: FakeLog, lines: string): number {
  const key = parseVerifierKey(rebuilder.verifierKeys[0]!);
  const [signature] = parseCosignatures(lines);
  const verifier = checkpointVerifier(key, nodeNotePrimitives);
  expect(openNote(parseNote(formatNote(log.text(), [signature!])), [verifier]).verified).toHaveLength(1);
  return parseCosignature(key, signature!.signature).timestamp;
}

describe('a rebuilder', () => {
  it('cosigns what its own map agrees with, and goes on after SIGKILL', async () => {
    const { operator, start, grow } = await served(30);
    const { output } = operator;
    const first = await start();
    const lines = await first.rebuilder.ask(output, 0);
    expect(lines).toMatchObject({ status: 200 });
    const time = timeOf(first.rebuilder, output, lines.body);
    grow(300);
    operator.publish();
    expect((await first.rebuilder.ask(output, 0)).status).toBe(409);
    await first.rebuilder.kill();
    const { rebuilder } = await start(first.dir);
    const shown = await rebuilder.get(checkpointPath(output));
    expect(shown.body).toContain('\n1\n');
    const more = await rebuilder.ask(output, 1);
    expect(more.status).toBe(200);
    expect(timeOf(rebuilder, output, more.body)).toBeGreaterThanOrEqual(time);
    expect((await rebuilder.get(checkpointPath(output))).body).toContain(`\n2\n`);
    const { body } = await fetch(`${rebuilder.adminUrl}/metrics`).then(async (reply) => ({ body: await reply.text() }));
    expect(body).toContain('stele_rebuilder_verified_leaves 2\n');
    expect(body).toContain('stele_rebuilder_input_size 330\n');
    expect(body).toContain('stele_rebuilder_halted 0\n');
    expect(await rebuilder.stop()).toBe(0);
  });

  it('halts at the first wrong leaf for good, keeps the evidence, and says so everywhere', async () => {
    const { operator, start, grow } = await served(30);
    const { output } = operator;
    const first = await start();
    expect((await first.rebuilder.ask(output, 0)).status).toBe(200);
    grow(5);
    const many = ({ indexes }: { readonly indexes: number[] }) => indexes.length > 3;
    operator.publish(
      operator.leaf(35, { change: (postings) => void [...postings.values()].find(many)!.indexes.splice(2, 1) }),
    );
    const refused = await first.rebuilder.ask(output, 1);
    expect(refused).toMatchObject({ status: 422, retry: null });
    expect(refused.body).toContain('leaf 1 of "output.test" is wrong: the map over 35 entries has another root');
    expect((await first.rebuilder.ready()).reasons[0]).toContain('leaf 1 of "output.test" is wrong');
    expect(first.rebuilder.log()).toContain('THE INDEX IS WRONG');
    expect(readdirSync(join(first.dir, 'rebuild', 'evidence'))).toHaveLength(1);
    expect(await first.rebuilder.stop()).toBe(0);
    // What is right again does not undo it.
    grow(5);
    operator.publish();
    const { rebuilder } = await start(first.dir);
    expect((await rebuilder.ask(output, 1)).status).toBe(422);
    expect((await rebuilder.ready()).ready).toBe(false);
    expect((await rebuilder.get(checkpointPath(output))).body).toContain('\n1\n');
  });

  it('answers 503 with Retry-After while the input log shows less, and 404 and 403 for other logs', async () => {
    const { operator, start } = await served(30);
    operator.input.size = 20;
    const { rebuilder } = await start(undefined, undefined, ['--rebuild-wait', '300ms']);
    const early = await rebuilder.ask(operator.output, 0);
    expect(early).toMatchObject({ status: 503, retry: '5' });
    expect(early.body).toContain('leaf 0 is over 30 entries, and the input log shows 20');
    expect((await rebuilder.ready()).alarms).toEqual(['leaf 0 is over 30 entries, and the input log shows 20']);
    operator.input.size = 30;
    expect((await rebuilder.ask(operator.output, 0)).status).toBe(200);
    expect((await rebuilder.ask(operator.input, 0)).status).toBe(404);
    expect((await rebuilder.ask(new FakeLog(new View(entries(3)), 'output.test'), 1)).status).toBe(403);
  });

  it('never cosigns two histories of the output log', async () => {
    const { operator, start, grow } = await served(30);
    const { output } = operator;
    const { dir, rebuilder } = await start();
    expect((await rebuilder.ask(output, 0)).status).toBe(200);
    const before = output.view;
    grow(1);
    output.show([operator.leaf(31)]);
    expect((await rebuilder.ask(output, 1)).status).toBe(422);
    await until(async () => (await rebuilder.ready()).reasons.some((reason) => reason.includes('two trees')));
    expect(readdirSync(join(dir, 'evidence'))).toHaveLength(1);
    output.view = before;
    output.size = 1;
    expect((await rebuilder.ask(output, 1)).status).toBe(422);
  });

  it('begins anew without its map, and keeps what it signed', async () => {
    const { operator, start } = await served(30);
    const { output } = operator;
    const first = await start();
    expect((await first.rebuilder.ask(output, 0)).status).toBe(200);
    await first.rebuilder.stop();
    rmSync(join(first.dir, 'rebuild'), { recursive: true });
    const { rebuilder } = await start(first.dir);
    expect((await rebuilder.ask(output, 0)).status).toBe(409);
    expect((await rebuilder.ask(output, 1)).status).toBe(200);
  });

  it('with an old copy of its map goes on from there', async () => {
    const { operator, start, grow } = await served(30);
    const { output } = operator;
    const first = await start();
    expect((await first.rebuilder.ask(output, 0)).status).toBe(200);
    await first.rebuilder.stop();
    const copy = join(tempDir(), 'copy');
    cpSync(join(first.dir, 'rebuild'), copy, { recursive: true });
    grow(50);
    operator.publish();
    const second = await start(first.dir);
    expect((await second.rebuilder.ask(output, 1)).status).toBe(200);
    await second.rebuilder.stop();
    rmSync(join(first.dir, 'rebuild'), { recursive: true });
    cpSync(copy, join(first.dir, 'rebuild'), { recursive: true });
    grow(20);
    operator.publish();
    const { rebuilder } = await start(first.dir);
    expect((await rebuilder.ask(output, 1)).status).toBe(409);
    expect((await rebuilder.ask(output, 2)).status).toBe(200);
  });

  it('is killed at any moment while it rebuilds, and loses nothing', async () => {
    const { operator, start, grow } = await served(10);
    for (let i = 0; i < 12; i++) {
      grow(100);
      operator.publish();
    }
    const dir = tempDir();
    for (let kills = 0; kills < 8; kills++) {
      const { rebuilder } = await start(dir);
      const asking = rebuilder.ask(operator.output, 0).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 5 * kills * kills));
      await rebuilder.kill();
      const answer = await asking;
      if (answer?.status === 200) break;
    }
    const { rebuilder } = await start(dir);
    const answer = await rebuilder.ask(operator.output, 0);
    // The cosignature may have become durable before a kill, and never left.
    if (answer.status === 409) expect((await rebuilder.ask(operator.output, 13)).status).toBe(200);
    else expect(answer.status).toBe(200);
  });

  it('says what is wrong with its configuration, and leaves no directory', async () => {
    const dir = join(tempDir(), 'data');
    await expect(startRebuilder(dir, 'r', ['--output-url', 'http://127.0.0.1:1'])).rejects.toThrow(
      /input[\s\S]*output/,
    );
    expect(() => readdirSync(dir)).toThrow();
  });
});
