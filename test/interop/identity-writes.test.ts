/** Writes at a log by go-spiffe's client, with its SVID and with tokens of its Workload API. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type IdentityLog, startIdentityLog } from '../support/identity-log.ts';
import { hashedRekordRequest, toJson } from '../support/requests.ts';
import { skips } from '../support/skip.ts';
import { pemOf } from '../support/tls-server.ts';
import { WorkloadApiServer } from '../support/workload-api.ts';
import { buildJudge } from './go-judge.ts';

const built = buildJudge('spiffe-client');
const program = typeof built === 'string' ? '' : built.program;
const run = promisify(execFile);

const POLICY = `version: 1
name: writers
callers: { ci: { spiffeId: 'spiffe://example.org/build/**' } }
allow: [ { name: builders, callers: [ci], calls: [write] } ]
`;

describe.skipIf(skips('go-spiffe', typeof built === 'string' ? built : undefined))("go-spiffe's client", () => {
  let api: WorkloadApiServer;
  let other: WorkloadApiServer;
  let log: IdentityLog;
  beforeAll(async () => {
    api = await WorkloadApiServer.start({ identities: [{ id: 'spiffe://example.org/build/linux' }] });
    other = await WorkloadApiServer.start({ identities: [{ id: 'spiffe://example.net/build/linux' }] });
    log = await startIdentityLog({ policy: POLICY, settings: '  tokens: true\n', root: api.authority() });
  });
  afterAll(async () => {
    await log?.close();
    await api?.close();
    await other?.close();
    if (typeof built !== 'string') built.remove();
  });

  /** The status and the body of a write. */
  async function write(
    socket: string,
    ...more: readonly string[]
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const body = join(log.dir, 'body.json');
    await writeFile(body, toJson(hashedRekordRequest()));
    const ca = join(log.dir, 'server.pem');
    await writeFile(ca, pemOf(log.serverCa));
    const url = `https://localhost:${log.port}/api/v2/log/entries`;
    const { stdout } = await run(program, ['-socket', socket, '-ca', ca, ...more, 'POST', url, body]);
    const [status = '', ...rest] = stdout.split('\n');
    return { status: Number(status), body: JSON.parse(rest.join('\n')) as Record<string, unknown> };
  }

  it('writes by its SVID', async () => {
    const before = await log.size();
    const { status, body } = await write(api.address);
    expect(status).toBe(201);
    expect(body).toHaveProperty('inclusionProof');
    expect(await log.size()).toBe(before + 1);
  });

  it('of another trust domain is refused with a reason, and nothing is logged', async () => {
    const before = await log.size();
    const { status, body } = await write(other.address);
    expect(status).toBe(401);
    expect(body).toMatchObject({ error: 'trust-domain', message: expect.stringContaining('example.net') });
    expect(await log.size()).toBe(before);
  });

  it('of another path is refused with a reason, and nothing is logged', async () => {
    api.identities = [{ id: 'spiffe://example.org/deploy' }];
    api.renew();
    const before = await log.size();
    const { status, body } = await write(api.address);
    expect(status).toBe(403);
    expect(body).toMatchObject({
      error: 'not-allowed',
      message: expect.stringContaining('spiffe://example.org/deploy'),
    });
    expect(await log.size()).toBe(before);
    api.identities = [{ id: 'spiffe://example.org/build/linux' }];
    api.renew();
  });

  it('with an SVID that expired is refused with a reason', async () => {
    api.identities = [
      { id: 'spiffe://example.org/build/linux', wish: { from: '2020-01-01T00:00:00Z', to: '2021-01-01T00:00:00Z' } },
    ];
    api.renew();
    const { status, body } = await write(api.address);
    expect([status, body.error]).toEqual([401, 'certificate-expired']);
    api.identities = [{ id: 'spiffe://example.org/build/linux' }];
    api.renew();
  });

  it('learns what it needs where it shows nothing', async () => {
    const { status, body } = await write(api.address, '-no-svid');
    expect([status, body.error]).toEqual([401, 'no-identity']);
  });
});
