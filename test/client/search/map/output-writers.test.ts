/** The warning of an output log that everybody may write to, over descriptions as `GET /stele/v1/log` gives them (docs/wire.md). */
import { describe, expect, it } from 'vitest';
import { mayOthersWrite } from '../../../../client/search/map/output-writers.ts';

const about = { origin: 'output.example.com', verifierKeys: ['key'], entries: 'raw' };
const answering = (answer: object, status = 200) => ({
  fetch: () => Promise.resolve(Response.json(answer, { status })),
});

describe('an output log', () => {
  it('that requires no identity of its writers is told', async () => {
    expect(await mayOthersWrite('https://output.example.com', answering(about))).toBe(true);
    const closed = { ...about, writes: { identity: ['x509-svid'] } };
    expect(await mayOthersWrite('https://output.example.com', answering(closed))).toBe(false);
  });

  it('on this machine, or one that does not answer, is not', async () => {
    expect(await mayOthersWrite('http://127.0.0.1:3000', answering(about))).toBe(false);
    expect(await mayOthersWrite('https://output.example.com', answering({ code: 5 }, 404))).toBe(false);
  });
});
