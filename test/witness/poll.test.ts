import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { concat } from '../../merkle/bytes.ts';
import { parseTilePath, TILE_WIDTH } from '../../merkle/tile.ts';
import { Poller } from '../../witness/poll.ts';
import type { GrownTree } from '../merkle/helpers.ts';
import { silent } from '../support/silent.ts';
import { later, makeWitness, TestLog, treeOf } from './helpers.ts';

/** A log's reading side, over a tree in memory. */
async function serve(log: TestLog, tree: GrownTree) {
  const state = { size: 0, tree, tiles: 0, partial: true, log };
  const server = createServer((request, response) => {
    const path = request.url!.slice(1);
    if (path === 'base/checkpoint') {
      response.end(state.log.note(log.text(state.size, state.tree.roots[state.size])));
      return;
    }
    state.tiles++;
    const { level, index, width } = parseTilePath(path.slice('base/'.length));
    // Tile level L holds the nodes of tree level 8 L.
    const hashes = state.tree.levels[8 * level]!.slice(index * TILE_WIDTH, index * TILE_WIDTH + width);
    if (hashes.length < width || (width < TILE_WIDTH && !state.partial)) response.writeHead(404).end();
    else response.end(concat(...hashes));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  later(() => new Promise((resolve) => server.close(resolve)));
  return { state, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/base/` };
}

async function pulled(tree: GrownTree) {
  const log = new TestLog('pulled.test', tree);
  const { state, url } = await serve(log, tree);
  const witness = await makeWitness();
  const known = await witness.logs.add(log.vkey, { url });
  const poller = new Poller({
    witness: witness.witness,
    logs: { all: () => [].values() } as never,
    intervalMs: 60_000,
    metrics: witness.metrics,
    logger: silent,
  });
  later(() => poller.close());
  return {
    log,
    state,
    witness,
    poll: () => poller.poll(known),
    size: () => witness.witness.cosigned(log.origin)?.size,
  };
}

it('pulls a log that does not push, with the tiles that its proof needs', async () => {
  const { state, poll, size } = await pulled(treeOf('pulled', 700));
  for (const next of [0, 1, 5, 255, 256, 257, 512, 700]) {
    state.size = next;
    await poll();
    expect(size()).toBe(next);
  }
  const { tiles } = state;
  await poll();
  state.size = 300;
  await poll();
  expect(size()).toBe(700);
  expect(state.tiles).toBe(tiles);
});

it('reads the full tile where the partial one is gone', async () => {
  const { state, poll, size } = await pulled(treeOf('pulled', 256));
  state.size = 100;
  await poll();
  state.partial = false;
  state.size = 200;
  await poll();
  expect(size()).toBe(200);
});

it('cosigns no other history, and keeps evidence also from a power of two', async () => {
  const fork = treeOf('fork', 64, 2);
  const { state, poll, size, witness } = await pulled(treeOf('pulled', 64));
  state.size = 8;
  await poll();
  state.size = 33;
  state.tree = fork;
  await expect(poll()).rejects.toMatchObject({ code: 'proof' });
  expect(size()).toBe(8);
  expect(await readdir(join(witness.dir, 'evidence'))).toHaveLength(1);
});

it('fetches nothing for a checkpoint of another key', async () => {
  const { state, poll, size } = await pulled(treeOf('pulled', 8));
  state.size = 5;
  await poll();
  state.size = 7;
  state.log = new TestLog('pulled.test');
  await expect(poll()).rejects.toMatchObject({ code: 'unknown-key' });
  expect(size()).toBe(5);
  expect(state.tiles).toBe(0);
});

it('cosigns no log that was disabled since its round began', async () => {
  const { log, state, poll, size, witness } = await pulled(treeOf('pulled', 8));
  state.size = 5;
  await poll();
  await witness.logs.disable(log.origin);
  state.size = 7;
  await expect(poll()).rejects.toMatchObject({ code: 'unknown-log' });
  expect(size()).toBe(5);
});

it('goes round by itself, and does not mind a log that is away', async () => {
  const log = new TestLog('pulled.test', treeOf('pulled', 8));
  const { state, url } = await serve(log, log.tree);
  const witness = await makeWitness();
  await witness.logs.add(log.vkey, { url });
  await witness.logs.add(new TestLog('away.test').vkey, { url: 'http://127.0.0.1:1' });
  const { witness: inner, logs, metrics } = witness;
  const poller = new Poller({ witness: inner, logs, intervalMs: 10, metrics, logger: silent });
  later(() => poller.close());
  for (const size of [3, 8]) {
    state.size = size;
    await expect.poll(() => inner.cosigned(log.origin)?.size, { timeout: 5000 }).toBe(size);
  }
  expect(await metrics.registry.metrics()).toMatch(/stele_witness_poll_failures_total [1-9]/);
});
