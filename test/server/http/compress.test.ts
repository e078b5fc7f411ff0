import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Compressor } from '../../../server/http/compress.ts';

describe('compressed bundles', () => {
  it('are kept, and not sent for other bytes than they hold', async () => {
    const compressor = new Compressor(1024 * 1024);
    const bytes = Buffer.alloc(10_000, 'entry');
    const first = await compressor.gzip('bundle', bytes);
    expect(gunzipSync(first!)).toEqual(bytes);
    expect(compressor.held('bundle', bytes)).toBe(first);
    expect(compressor.held('another', bytes)).toBeUndefined();
    // Of other arrays it is not known what they hold, until it was looked at.
    const again = Buffer.from(bytes);
    expect(compressor.held('bundle', again)).toBeUndefined();
    expect(await compressor.gzip('bundle', again)).toBe(first);
    expect(compressor.held('bundle', again)).toBe(first);
    expect(compressor.held('bundle', bytes)).toBeUndefined();
    // As a damaged disk gives them: whoever audits the log must see that.
    const damaged = Buffer.from(bytes);
    damaged[5000] = 0xff;
    expect(gunzipSync((await compressor.gzip('bundle', damaged))!)).toEqual(damaged);
    expect(gunzipSync((await compressor.gzip('bundle', bytes.subarray(1)))!)).toEqual(bytes.subarray(1));
    expect(compressor.bytes).toBeLessThan(2 * first!.length);
  });
});
