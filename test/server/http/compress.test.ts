import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Compressor } from '../../../server/http/compress.ts';

describe('compressed bundles', () => {
  it('are kept by the name of their bytes, within the bound', async () => {
    const bytes = Buffer.alloc(10_000, 'entry');
    const compressor = new Compressor(100);
    const first = await compressor.gzip('bundle', bytes);
    expect(gunzipSync(first!)).toEqual(bytes);
    expect(compressor.held('bundle')).toBe(first);
    expect(await compressor.gzip('bundle', Buffer.from(bytes))).toBe(first);
    expect(compressor.held('another')).toBeUndefined();
    expect(compressor.bytes).toBe(first!.length);
    await compressor.gzip('another', Buffer.alloc(10_000, 'other'));
    expect(compressor.held('bundle')).toBeUndefined();
    expect(compressor.bytes).toBeLessThan(100);
  });
});
