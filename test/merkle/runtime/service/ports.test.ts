import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { lockDir } from '../../../../merkle/runtime/disk/lock.ts';
import { serveRoutes, textAnswer } from '../../../../merkle/runtime/service/app.ts';
import { listen, openPorts } from '../../../../merkle/runtime/service/ports.ts';

const free = { host: '127.0.0.1', port: 0 };

function makeApp() {
  const app = serveRoutes({ routes: [], refuse: () => textAnswer(404, '') }, (listener) => createServer(listener));
  onTestFinished(() => app.close());
  return app;
}

async function takenPort(): Promise<number> {
  return Number(new URL(await listen(makeApp(), free, 'listen')).port);
}

describe('listen', () => {
  it('returns the URL', async () => {
    expect(await listen(makeApp(), free, 'listen')).toMatch(/^http:\/\/localhost:[1-9][0-9]*$/);
  });

  it.each([
    ['another program listens there', async () => ({ ...free, port: await takenPort() }), /EADDRINUSE.*`admin\.port`/],
    ['the machine does not have the address', async () => ({ ...free, host: '192.0.2.1' }), /`admin\.host`/],
  ])('names the setting where %s', async (_, address, message) => {
    const failed = listen(makeApp(), await address(), 'admin');
    await expect(failed).rejects.toMatchObject({ code: 'config', message: expect.stringMatching(message) });
  });
});

describe('openPorts', () => {
  async function makeLock() {
    const dir = mkdtempSync(join(tmpdir(), 'stele-ports-'));
    onTestFinished(() => rmSync(dir, { recursive: true }));
    const lock = await lockDir(dir);
    onTestFinished(() => lock.release());
    return { lock, owner: () => JSON.parse(readFileSync(join(dir, 'owner.json'), 'utf8')) as { admin?: string } };
  }

  it('listens on both ports and announces the admin port', async () => {
    const { lock, owner } = await makeLock();
    const ports = { public: { app: makeApp(), at: free }, admin: { app: makeApp(), at: free } };
    const { url, adminUrl } = await openPorts(ports, lock);
    expect(url).not.toBe(adminUrl);
    expect(owner().admin).toBe(adminUrl);
  });

  it('closes the one where the other cannot be opened', async () => {
    const { lock, owner } = await makeLock();
    const admin = makeApp();
    const at = { ...free, port: await takenPort() };
    const opening = openPorts({ public: { app: makeApp(), at }, admin: { app: admin, at: free } }, lock);
    await expect(opening).rejects.toMatchObject({ code: 'config' });
    expect(admin.server.listening).toBe(false);
    expect(owner().admin).toBeUndefined();
  });
});
