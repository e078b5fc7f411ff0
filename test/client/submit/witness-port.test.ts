import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchLogInfo } from '../../../client/submit/log-info.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { stele } from '../../support/serve.ts';
import { startWitness, type WitnessProcess } from '../../support/witness-process.ts';

const log = FakeLog.empty();
let dir: string;
let witness: WitnessProcess;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'stele-witness-port-'));
  writeFileSync(join(dir, 'app'), 'hello');
  witness = await startWitness(join(dir, 'witness'), 'witness.example/w', [log.vkey]);
}, 60_000);
afterAll(async () => {
  await witness.kill();
  rmSync(dir, { recursive: true });
});

async function answering(listener: RequestListener, work: (url: string) => Promise<void>): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

describe("the address of a witness in the place of a log's", () => {
  it('is named, where the command asks for the key and where it sends', async () => {
    const sign = ['sign', 'app', '--new-key', 'key.pem', '--log', witness.url, '--timeout', '20'];
    for (const args of [sign, [...sign, '--log-key', log.vkey]]) {
      const ran = await stele(args, { cwd: dir });
      expect(ran, args.join(' ')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining(`[refused]: ${witness.url} is the address of a witness, not of a log`),
      });
    }
  });

  it('is named by an audit, which stays one that could not be tried', async () => {
    expect(await stele(['audit', witness.url], { cwd: dir })).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`${witness.url} is the address of a witness, not of a log`),
    });
    await answering(
      (_request, reply) => reply.writeHead(404).end('not found\n'),
      async (url) => {
        expect(await stele(['audit', url], { cwd: dir })).toMatchObject({
          code: 2,
          stderr: expect.stringContaining('[missing]: checkpoint is not there'),
        });
      },
    );
  });

  it('is no other address that lacks the paths of a log, whatever that answers', async () => {
    for (const status of [404, 200, 500]) {
      await answering(
        (request, reply) => {
          reply.writeHead(request.url === '/add-checkpoint' ? status : 404).end('not found\n');
        },
        async (url) => {
          const refused = expect.objectContaining({ code: 'refused', message: expect.stringContaining('status 404') });
          await expect(fetchLogInfo(url), String(status)).rejects.toEqual(refused);
        },
      );
    }
  });
});
