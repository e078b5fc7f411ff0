/** Bodies over real connections from several addresses of loopback. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ClientAddresses } from '../../../../merkle/runtime/service/client-address.ts';
import { type Body, type BodyRefusal, RequestBodies } from '../../../../merkle/runtime/service/request-bodies.ts';
import { until } from '../../../support/until.ts';

const [EVIL, HONEST, THIRD] = ['127.0.0.2', '127.0.0.3', '127.0.0.4'] as const;
const LIMIT = 1000;
const LIMITS = { bodiesBytes: 2000, bodiesBytesPerAddress: 1500, bodyRate: 1, bodyGrace: 60_000 };

class Refused extends Error {
  readonly refusal: BodyRefusal;
  constructor(refusal: BodyRefusal) {
    super(refusal);
    this.refusal = refusal;
  }
}

/** A server that keeps every whole body until the test releases it. */
async function serve(limits: Partial<typeof LIMITS> = {}, trustProxy: readonly string[] = [], limit = LIMIT) {
  const bodies = new RequestBodies({
    limits: () => ({ ...LIMITS, ...limits }),
    clients: new ClientAddresses(trustProxy),
    refuse: (refusal, _limit, head) => {
      heads.push(Buffer.from(head).toString('latin1'));
      return new Refused(refusal);
    },
    headBytes: 8,
  });
  const heads: string[] = [];
  const whole: Body[] = [];
  const requests: IncomingMessage[] = [];
  const server = createServer(async (request: IncomingMessage, response) => {
    requests.push(request);
    try {
      whole.push(await bodies.read(request, limit));
      response.end('whole');
    } catch (error) {
      response.writeHead(400, { connection: 'close' }).end((error as Refused).refusal);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;

  const dial = async (localAddress: string) => {
    const socket: Socket & { text?: string } = connect({ port, host: '127.0.0.1', localAddress });
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    onTestFinished(() => void socket.destroy());
    await once(socket, 'connect');
    const answer = () => until(() => text.split('\r\n\r\n')[1] || undefined);
    return { socket, answer };
  };
  const begin = async (localAddress: string, declared: number, sent: number, headers = '') => {
    const { socket, answer } = await dial(localAddress);
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\n${headers}Content-Length: ${declared}\r\n\r\n${'x'.repeat(sent)}`);
    return { socket, answer };
  };
  return { bodies, heads, whole, requests, begin, dial };
}

describe('the room for bodies', () => {
  it('gives one client no more than its share, whatever it declares', async () => {
    const { bodies, begin } = await serve();
    await begin(EVIL, LIMIT, LIMIT - 1);
    await until(() => bodies.held >= LIMIT - 1);
    // What is only declared takes no room.
    await begin(EVIL, LIMIT, 0);
    await begin(EVIL, LIMIT, 1);
    const refused = await begin(EVIL, 900, 900);
    expect(await refused.answer()).toContain('client-room');
    const honest = await begin(HONEST, 900, 900);
    expect(await honest.answer()).toContain('whole');
  });

  it('has room for one whole body of a client, however small its share is', async () => {
    const { begin } = await serve({ bodiesBytesPerAddress: 1 });
    expect(await (await begin(HONEST, LIMIT, LIMIT)).answer()).toContain('whole');
    expect(await (await begin(HONEST, 1, 1)).answer()).toContain('client-room');
  });

  it('takes an unfinished body from the client with the most, when all is full', async () => {
    const { bodies, begin, whole } = await serve();
    const first = await begin(EVIL, LIMIT, 999);
    await until(() => bodies.held >= 999);
    const second = await begin(THIRD, LIMIT, 990);
    await until(() => bodies.held >= 1989);
    const honest = await begin(HONEST, 800, 800);
    expect(await honest.answer()).toContain('whole');
    expect(await first.answer()).toContain('room');
    // Whoever would then have the most gets nothing.
    const late = await begin(HONEST, 500, 500);
    expect(await late.answer()).toContain('room');
    second.socket.destroy();
    await until(() => bodies.held === 800);
    whole[0]!.release();
    whole[0]!.release();
    expect(bodies.held).toBe(0);
  });

  it('never takes a whole body from its client', async () => {
    const { begin, whole } = await serve();
    expect(await (await begin(EVIL, LIMIT, LIMIT)).answer()).toContain('whole');
    expect(await (await begin(THIRD, LIMIT, LIMIT)).answer()).toContain('whole');
    expect(await (await begin(HONEST, 10, 10)).answer()).toContain('room');
    whole[0]!.release();
    expect(await (await begin(HONEST, 10, 10)).answer()).toContain('whole');
  });

  it('counts a body behind a trusted proxy for the client that the proxy names', async () => {
    const { bodies, begin } = await serve({}, [EVIL]);
    const by = (client: string) => `X-Forwarded-For: ${client}\r\n`;
    await begin(EVIL, LIMIT, 999, by('192.0.2.1'));
    await until(() => bodies.held >= 999);
    expect(await (await begin(EVIL, 900, 900, by('192.0.2.1'))).answer()).toContain('client-room');
    expect(await (await begin(EVIL, 900, 900, by('192.0.2.1, 192.0.2.2'))).answer()).toContain('whole');
  });

  it('takes no claim from a client that is no proxy', async () => {
    const { bodies, begin } = await serve({}, [THIRD]);
    await begin(EVIL, LIMIT, 999, 'X-Forwarded-For: 192.0.2.1\r\n');
    await until(() => bodies.held >= 999);
    const refused = await begin(EVIL, 900, 900, 'X-Forwarded-For: 192.0.2.2\r\n');
    expect(await refused.answer()).toContain('client-room');
  });

  it('takes all of the bytes of chunked bodies as they are', async () => {
    const { dial, whole, bodies } = await serve();
    const { socket, answer } = await dial(HONEST);
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    for (const part of ['a', 'bc', 'd'.repeat(300), 'e'.repeat(40)]) {
      socket.write(`${part.length.toString(16)}\r\n${part}\r\n`);
    }
    socket.write('0\r\n\r\n');
    expect(await answer()).toContain('whole');
    expect(String(whole[0]!.bytes)).toBe(`abc${'d'.repeat(300)}${'e'.repeat(40)}`);
    expect(bodies.held).toBe(343);
  });

  it('reads a body to its end that is larger than what is read at a time', async () => {
    const size = 5 * 1024 * 1024;
    const { begin, whole } = await serve({ bodiesBytes: 4 * size, bodiesBytesPerAddress: 4 * size }, [], size);
    const both = [await begin(HONEST, size, size), await begin(HONEST, size, size)];
    for (const { answer } of both) expect(await answer()).toContain('whole');
    for (const { bytes } of whole) expect(bytes.equals(Buffer.alloc(size, 'x'))).toBe(true);
  });

  it('keeps no piece of a body that waits for the pace', async () => {
    const piece = 'x'.repeat(20);
    const size = 10_000 * piece.length;
    const { dial, requests, whole } = await serve({ bodiesBytes: size, bodiesBytesPerAddress: size }, [], size);
    const { socket, answer } = await dial(EVIL);
    socket.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
    const request = await until(() => requests[0]);
    let [kept, pieces] = [0, 0];
    request.on('data', () => {
      pieces++;
      kept = Math.max(kept, request.readableLength);
    });
    socket.write(`14\r\n${piece}\r\n`.repeat(10_000));
    socket.write('0\r\n\r\n');
    expect(await answer()).toContain('whole');
    expect(whole[0]!.bytes.length).toBe(size);
    expect(pieces).toBeGreaterThanOrEqual(10_000);
    expect(kept).toBe(0);
  });

  it('reads the bodies of one client at 25 MiB/s at most, however many they are', async () => {
    const MIB = 1024 * 1024;
    const { requests, dial } = await serve({ bodiesBytes: 200 * MIB, bodiesBytesPerAddress: 200 * MIB }, [], MIB);
    const begun = performance.now();
    const piece = Buffer.from(`4000\r\n${'x'.repeat(0x4000)}\r\n`);
    for (let i = 0; i < 40; i++) {
      const { socket } = await dial(EVIL);
      socket.on('error', () => {}).on('drain', pour);
      socket.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
      function pour(): void {
        while (!socket.destroyed && socket.write(piece));
      }
      pour();
    }
    const read = () => requests.reduce((sum, { socket }) => sum + socket.bytesRead, 0);
    await until(() => read() > 20 * MIB);
    // A slow machine only reads less. What was read at once before the first pause is one turn, and 64 KiB of each connection.
    expect(performance.now() - begun).toBeGreaterThan(((read() - MIB / 2 - 40 * 64 * 1024) / MIB) * 40 - 40);
  });

  it('refuses a body in tiny pieces', async () => {
    const { dial } = await serve({ bodiesBytes: 10_000, bodiesBytesPerAddress: 10_000 }, [], 4000);
    const post = async (pieces: number) => {
      const { socket, answer } = await dial(EVIL);
      socket.write('POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n');
      socket.write('1\r\nx\r\n'.repeat(pieces));
      socket.write('0\r\n\r\n');
      return await answer();
    };
    expect(await post(1000)).toContain('whole');
    expect(await post(1500)).toContain('fragmented');
  });
});

describe('the least rate', () => {
  it('cuts a body that trickles, also after a good begin, and gives its room back', async () => {
    const { bodies, begin } = await serve({ bodyRate: 1000, bodyGrace: 200 });
    const slow = await begin(EVIL, LIMIT, 10);
    const stalled = await begin(EVIL, LIMIT, 900);
    const drip = setInterval(() => slow.socket.write('x'), 20);
    onTestFinished(() => clearInterval(drip));
    expect(await slow.answer()).toContain('too-slow');
    expect(await stalled.answer()).toContain('too-slow');
    await until(() => bodies.held === 0);
  });

  it('lets a body that keeps the rate come to its end', async () => {
    const { begin } = await serve({ bodyRate: 100, bodyGrace: 200 });
    const { socket, answer } = await begin(HONEST, 400, 0);
    let left = 400;
    const drip = setInterval(() => {
      socket.write('x'.repeat(10));
      left -= 10;
      if (left === 0) clearInterval(drip);
    }, 20);
    onTestFinished(() => clearInterval(drip));
    expect(await answer()).toContain('whole');
  });
});

describe('the first bytes of a refused body', () => {
  it('come with the refusal, however the body came', async () => {
    const { dial, heads, bodies } = await serve();
    const head = 'POST / HTTP/1.1\r\nHost: a\r\n';
    const declared = await dial(HONEST);
    declared.socket.write(`${head}Content-Length: ${LIMIT + 1}\r\n\r\n0123456789${'x'.repeat(LIMIT - 9)}`);
    expect(await declared.answer()).toContain('too-large');
    const chunked = await dial(THIRD);
    chunked.socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n`);
    for (const text of ['01', '234', '56789', 'x'.repeat(LIMIT)])
      chunked.socket.write(`${text.length.toString(16)}\r\n${text}\r\n`);
    chunked.socket.write('0\r\n\r\n');
    expect(await chunked.answer()).toContain('too-large');
    expect(heads).toEqual(['01234567', '01234567']);
    expect(bodies.held).toBe(0);
  });

  it('come also where there is no room for it', async () => {
    const { begin, heads } = await serve();
    await begin(EVIL, LIMIT, LIMIT - 1);
    const refused = await begin(EVIL, 900, 900);
    expect(await refused.answer()).toContain('client-room');
    expect(heads).toEqual(['xxxxxxxx']);
  });

  it('are fewer where fewer came', async () => {
    const { begin, heads } = await serve();
    const { socket } = await begin(HONEST, 900, 5);
    await until(() => socket.bytesWritten > 900 - 895);
    socket.destroySoon();
    await until(() => heads.length === 1);
    expect('xxxxx'.startsWith(heads[0]!)).toBe(true);
  });
});
