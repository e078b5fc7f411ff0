/** The public port of a witness, over real connections from several addresses of loopback. */
import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { until } from '../support/until.ts';
import { later, makeWitness, TestLog } from './helpers.ts';

const [EVIL, HONEST] = ['127.0.0.2', '127.0.0.3'] as const;
const KIB = 1024;

async function serve(flags: Record<string, string>) {
  const log = new TestLog();
  const witness = await makeWitness([log], { flags });
  witness.app.server.listen(0, '127.0.0.1');
  await once(witness.app.server, 'listening');
  const { port } = witness.app.server.address() as AddressInfo;
  const dial = async (localAddress: string, head: string, sent: Uint8Array | string = '') => {
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    later(async () => socket.destroy());
    await once(socket, 'connect');
    socket.write(`${head}\r\n\r\n`);
    socket.write(sent);
    return { socket, answer: () => until(() => text.includes('\r\n\r\n') && text) };
  };
  const post = (localAddress: string, length: number, sent: Uint8Array | string = '') =>
    dial(localAddress, `POST /add-checkpoint HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}`, sent);
  return { log, witness, dial, post };
}

describe('the public port of a witness', () => {
  it('says what it is', async () => {
    const { app } = await makeWitness();
    const reply = await app.inject('/');
    expect(reply.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(reply.body).toContain('This is witness.test/w, a witness of transparency logs');
    expect(reply.body).toContain('POST /add-checkpoint');
  });

  it('has room for an honest checkpoint, however many bodies of another address are unfinished', async () => {
    const { log, witness, post } = await serve({ 'limits-bodies-bytes': '1MiB' });
    const size = 127 * KIB;
    const sent = [];
    for (let i = 0; i < 7; i++) sent.push(await post(EVIL, 128 * KIB, 'x'.repeat(size)));
    // Any one of them: the pace of bodies decides which comes last.
    const refused = await Promise.race(sent.map(({ answer }) => answer()));
    expect(refused).toMatch(/^HTTP\/1.1 429 [\s\S]*\r\nretry-after: 1\r\n/i);
    expect(witness.metrics.port.bodyBytes()).toBeGreaterThan(5 * size);
    const request = log.request(0, 3);
    expect(await (await post(HONEST, request.length, request)).answer()).toMatch(/^HTTP\/1.1 200 /);
  });

  it('cuts a body that trickles, with 408, and gives its room back', async () => {
    const { witness, post } = await serve({ 'limits-body-grace': '1s', 'limits-body-rate': '64KiB' });
    const { socket, answer } = await post(EVIL, 1000, 'x');
    const drip = setInterval(() => socket.write('x'), 50);
    later(async () => clearInterval(drip));
    expect(await answer()).toMatch(/^HTTP\/1.1 408 /);
    await until(() => witness.metrics.port.bodyBytes() === 0);
  });

  it('lets no address hold all connections', async () => {
    const { dial, witness } = await serve({ 'limits-connections': '8' });
    for (let i = 0; i < 8; i++) await dial(EVIL, 'GET / HTTP/1.1\r\nHost: a');
    await until(() => witness.metrics.port.connections() === 6);
    const honest = await dial(HONEST, 'GET / HTTP/1.1\r\nHost: a');
    expect(await honest.answer()).toMatch(/^HTTP\/1.1 200 /);
  });

  it('cuts an address off that goes on long past its rate limit, and nobody else', async () => {
    const { dial, witness } = await serve({ 'rate-limit-per-address': '2' });
    const get = 'GET /none HTTP/1.1\r\nHost: a';
    const { socket } = await dial(EVIL, get, `${get}\r\n\r\n`.repeat(1100));
    await until(() => socket.closed);
    const again = await dial(EVIL, get);
    await until(() => again.socket.closed);
    expect(await (await dial(HONEST, get)).answer()).toMatch(/^HTTP\/1.1 404 /);
    await until(() => witness.metrics.port.connections() === 1);
  });

  it('refuses two Host headers', async () => {
    const { dial } = await serve({});
    const { answer } = await dial(HONEST, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b');
    expect(await answer()).toMatch(/^HTTP\/1.1 400 [\s\S]*two Host headers/);
  });
});
