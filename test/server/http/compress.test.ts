import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Compressor } from '../../../server/http/compress.ts';

describe('compressed bundles', () => {
  it('are kept, and not sent for other bytes than they hold', async () => {
    const compressor = new Compressor(1024 * 1024);
    const bytes = Buffer.alloc(10_000, 'entry');
    const first = await compressor.gzip('bundle', bytes);
    expect(gunzipSync(first!)).toEqual(bytes);
    expect(await compressor.gzip('bundle', Buffer.from(bytes))).toBe(first);
    // As a damaged disk gives them: whoever audits the log must see that.
    const damaged = Buffer.from(bytes);
    damaged[5000] = 0xff;
    expect(gunzipSync((await compressor.gzip('bundle', damaged))!)).toEqual(damaged);
    expect(gunzipSync((await compressor.gzip('bundle', bytes.subarray(1)))!)).toEqual(bytes.subarray(1));
    expect(compressor.bytes).toBeLessThan(2 * first!.length);
  });
});
