/**
 * Does the log's size show? A log of many entries is filled through its stores, without HTTP and signatures; then its
 * start is timed, and its memory looked at after the start and after a load.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { leafHash } from '../../merkle/rfc6962.ts';
import { fastSha256 } from '../../merkle/runtime/hash.ts';
import { openDirStores } from '../../server/layout.ts';
import { CommittedTree } from '../../server/tree/committed.ts';
import { callOf, Generator } from './generator.ts';
import { requestBodies } from './requests.ts';
import { type ServerCommand, ServerProcess } from './server.ts';

export const GROWTH_SIZES: readonly number[] = [10_000, 100_000, 1_000_000];

const BATCH = 2048;
/** As long as a canonical hashedrekord with a P-256 key. */
const ENTRY_BYTES = 500;
const LOAD = 10_000;

export interface Growth {
  readonly entries: number;
  /** From the start of the process to its first answer; the best of three. */
  readonly startMs: number;
  /** Processor time up to then, in milliseconds: what is left of `startMs` where the machine has other work. */
  readonly startCpuMs: number;
  /** Resident memory in MiB: after the start, and at its highest during 10,000 more entries. */
  readonly memoryAfterStart: number;
  readonly memoryAfterLoad: number;
}

export async function measureGrowth(entries: number, command: ServerCommand): Promise<Growth> {
  const data = mkdtempSync(join(tmpdir(), 'stele-bench-'));
  try {
    // The first start makes the directory with its keys, the second one publishes what was put in.
    await (await ServerProcess.start(command, data)).stop();
    await fillLog(data, entries);
    await (await ServerProcess.start(command, data)).stop();
    const starts: { ms: number; cpuMs: number }[] = [];
    let memoryAfterStart = 0;
    for (let i = 0; i < 3; i++) {
      const server = await ServerProcess.start(command, data);
      starts.push({ ms: server.startMs, cpuMs: server.cpu().all * 1000 });
      memoryAfterStart = server.memory().now;
      await server.stop();
    }
    const server = await ServerProcess.start(command, data);
    const generator = await Generator.open(server.port, 256);
    const bodies = await requestBodies('shared', 60_000);
    await generator.run(bodies.slice(0, LOAD).map((body) => callOf('/api/v2/log/entries', body)));
    generator.close();
    const { peak } = server.memory();
    await server.stop();
    return {
      entries,
      startMs: Math.min(...starts.map(({ ms }) => ms)),
      startCpuMs: Math.min(...starts.map(({ cpuMs }) => cpuMs)),
      memoryAfterStart,
      memoryAfterLoad: peak,
    };
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

/** Puts `entries` random ones into the log at `data`, which was started once, without a server. */
export async function fillLog(data: string, entries: number): Promise<void> {
  const tree = await CommittedTree.open(await openDirStores(data), fastSha256);
  try {
    for (let left = entries; left > 0; left -= BATCH) {
      await tree.append(
        Array.from({ length: Math.min(BATCH, left) }, () => {
          const body = randomBytes(ENTRY_BYTES);
          return { body, leafHash: leafHash(body, fastSha256) };
        }),
      );
    }
  } finally {
    await tree.close();
  }
}
