/** Files hashed as streams: like Node hashes them, with progress, and with an end. */
import { createHash, randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { hashStream } from '../../../client/explorer/model/hash-stream.ts';

const ALL = ['sha256', 'sha384', 'sha512'] as const;
const never = new AbortController().signal;

it.each([0, 1, 65_536, 9_000_001])('a file of %d bytes has the digests that Node computes', async (size) => {
  const bytes = randomBytes(size);
  const told: number[] = [];
  const found = await hashStream(new Blob([bytes]), ALL, never, ({ done, total }) => {
    told.push(done);
    expect(total).toBe(size);
  });
  expect(found.bytes).toBe(size);
  for (const name of ALL) expect(found.digests[name]).toBe(createHash(name).update(bytes).digest('hex'));
  expect(told.length > 0).toBe(size > 5_000_000);
  expect(told).toEqual([...told].sort((a, b) => a - b));
});

it('a file of several gigabytes is never in memory as a whole', async () => {
  // A file of which only one part is there: a stream without an end would be the same.
  const part = new Uint8Array(1024 * 1024).fill(7);
  const count = 64;
  let most = 0;
  let read = 0;
  const file = {
    size: count * part.length,
    stream: () =>
      new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            read++;
            if (read > count) controller.close();
            else controller.enqueue(part);
          },
        },
        { highWaterMark: 0 },
      ),
  } as unknown as Blob;
  await hashStream(file, ['sha256'], never, ({ done }) => {
    most = Math.max(most, read * part.length - done);
  });
  expect(most).toBeLessThanOrEqual(part.length);
});

it('ends with its signal, and reads no further', async () => {
  const stop = new AbortController();
  const work = hashStream(new Blob([new Uint8Array(50_000_000)]), ['sha256'], stop.signal, () => stop.abort());
  await expect(work).rejects.toMatchObject({ code: 'cancelled' });
});

it('tells a file that is gone, or that is shorter than it was', async () => {
  const broken = (size: number, parts: readonly Uint8Array[], end: 'close' | 'error') =>
    ({
      size,
      stream: () =>
        new ReadableStream<Uint8Array>({
          start(controller) {
            for (const part of parts) controller.enqueue(part);
            if (end === 'close') controller.close();
            else controller.error(new Error('NotReadableError'));
          },
        }),
    }) as unknown as Blob;
  const part = new Uint8Array(10);
  const hash = (blob: Blob) => hashStream(blob, ['sha256'], never, () => {});
  await expect(hash(broken(20, [part], 'close'))).rejects.toMatchObject({ code: 'file' });
  await expect(hash(broken(20, [part, part, part], 'close'))).rejects.toMatchObject({ code: 'file' });
  await expect(hash(broken(20, [], 'error'))).rejects.toMatchObject({ code: 'file' });
});
