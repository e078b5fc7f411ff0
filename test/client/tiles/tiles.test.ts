import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { openSource } from '../../../client/tiles/tiles.ts';
import { FakeLog } from '../../support/fake-log.ts';
import { type Handler, numbered, put, serve, tempDir } from '../../support/log-files.ts';

const TILE = { level: 0, index: 1, width: 44 };

function logOf300(): string {
  const dir = tempDir();
  FakeLog.empty('static.test').write(dir, numbered(300));
  return dir;
}

/** Serves the files of `dir`, and what `first` answers before. */
async function serving(dir: string, first: Handler = () => {}): Promise<string> {
  return await serve((path, response, request) => {
    first(path, response, request);
    if (response.writableEnded || response.headersSent || response.destroyed) return;
    const file = join(dir, path.replace('log/', ''));
    if (existsSync(file)) response.end(readFileSync(file));
    else response.writeHead(404).end('nothing here');
  });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    if (error instanceof ClientError) return error.code;
    throw error;
  }
}

describe.each(['a directory', 'a file: URL', 'HTTP'])('openSource of %s', (kind) => {
  const open = async (dir: string) =>
    openSource(kind === 'HTTP' ? `${await serving(dir)}/log/` : kind === 'a directory' ? dir : pathToFileURL(dir).href);

  it('reads checkpoint, tiles and bundles', async () => {
    const dir = logOf300();
    const source = await open(dir);
    const file = (path: string) => new Uint8Array(readFileSync(join(dir, path)));
    expect(new Uint8Array(await source.checkpoint())).toEqual(file('checkpoint'));
    expect(new Uint8Array(await source.tile({ level: 0, index: 0, width: 256 }))).toEqual(file('tile/0/000'));
    expect(new Uint8Array(await source.tile(TILE))).toEqual(file('tile/0/001.p/44'));
    expect(new Uint8Array(await source.entries(1, 44))).toEqual(file('tile/entries/001.p/44'));
    await source.close();
  });

  it('cuts a partial tile that is gone out of the full one', async () => {
    const dir = logOf300();
    const source = await open(dir);
    const full = await source.tile({ level: 0, index: 0, width: 256 });
    expect(await source.tile({ level: 0, index: 0, width: 7 })).toEqual(full.slice(0, 7 * 32));
    const bundle = await source.entries(0, 256);
    expect(await source.entries(0, 2)).toEqual(bundle.slice(0, 2 * (2 + 'entry 0'.length)));
    put(dir, 'tile/entries/000', new Uint8Array([0, 1, 65, 0]));
    expect(await codeOf(source.entries(0, 2))).toBe('corrupt');
  });

  it('says what is missing, too short or too long', async () => {
    const dir = logOf300();
    const source = await open(dir);
    expect(await codeOf(source.tile({ level: 2, index: 0, width: 1 }))).toBe('missing');
    expect(await codeOf(source.entries(2, 256))).toBe('missing');
    for (const length of [0, 44 * 32 - 1, 44 * 32 + 1, 100_000]) {
      put(dir, 'tile/0/001.p/44', new Uint8Array(length));
      expect(await codeOf(source.tile(TILE)), String(length)).toBe('corrupt');
    }
    for (const length of [0, 87, 44 * 65_537 + 1]) {
      put(dir, 'tile/entries/001.p/44', new Uint8Array(length));
      expect(await codeOf(source.entries(1, 44)), String(length)).toBe('corrupt');
    }
    put(dir, 'checkpoint', new Uint8Array(1024 * 1024 + 1));
    expect(await codeOf(source.checkpoint())).toBe('corrupt');
    rmSync(join(dir, 'checkpoint'));
    expect(await codeOf(source.checkpoint())).toBe('missing');
  });

  it('gives up when it is told to', async () => {
    const source = await open(logOf300());
    expect(await codeOf(source.checkpoint(AbortSignal.abort()))).toBe('cancelled');
  });
});

describe('a directory', () => {
  it('may be the data directory of a log, whose partial tiles are elsewhere', async () => {
    const dir = logOf300();
    expect(openSource(dir).partialsElsewhere).toBeUndefined();
    const data = tempDir();
    renameSync(dir, join(data, 'public'));
    writeFileSync(join(data, 'stele.json'), '{}');
    mkdirSync(dir);
    const source = openSource(data);
    expect(source.partialsElsewhere).toMatch(/export/);
    expect((await source.tile(TILE)).length).toBe(44 * 32);
    expect(openSource(join(data, 'public')).partialsElsewhere).toBeDefined();
  });

  it('has no file where a directory, a FIFO or nothing is', async () => {
    const dir = logOf300();
    const source = openSource(dir);
    rmSync(join(dir, 'tile/0/000'));
    execFileSync('mkfifo', [join(dir, 'tile/0/000')]);
    expect(await codeOf(source.tile({ level: 0, index: 0, width: 256 }))).toBe('corrupt');
    rmSync(join(dir, 'checkpoint'));
    mkdirSync(join(dir, 'checkpoint'));
    expect(await codeOf(source.checkpoint())).toBe('corrupt');
  });

  it.each(['/nonexistent', 'ftp://example.com/', 'file:///nonexistent', 'https://user@example.com', 'https://a/?b'])(
    'is not "%s"',
    (location) => {
      expect(() => openSource(location)).toThrow(expect.objectContaining({ code: 'usage' }));
    },
  );
});

describe('HTTP', () => {
  const answers: Record<string, [Handler, string]> = {
    'never answers': [() => {}, 'network'],
    'hangs within the body': [(_, response) => void response.writeHead(200).write('x'), 'network'],
    'ends within the body': [
      (_, response) => {
        response.writeHead(200, { 'content-length': '1408' }).write('x', () => response.destroy());
      },
      'network',
    ],
    'closes the connection': [(_, response) => void response.destroy(), 'network'],
    redirects: [(_, response) => void response.writeHead(302, { location: '/elsewhere' }).end(), 'bad-reply'],
    forbids: [(_, response) => void response.writeHead(403).end(), 'refused'],
    fails: [(_, response) => void response.writeHead(500).end(), 'unavailable'],
    'answers with a web page': [(_, response) => void response.end('<!doctype html><title>Log in</title>'), 'corrupt'],
    'answers with nothing': [(_, response) => void response.end(), 'corrupt'],
    'never ends': [
      (_, response) => {
        const chunk = Buffer.alloc(64 * 1024);
        const more = () => {
          while (!response.destroyed && response.write(chunk));
          if (!response.destroyed) response.once('drain', more);
        };
        more();
      },
      'corrupt',
    ],
  };

  it.each(Object.keys(answers))('a server that %s', async (name) => {
    const [handler, code] = answers[name]!;
    // What never ends is read up to 16 MiB, which takes its time on a busy machine.
    const timeoutMs = name === 'never ends' ? 30_000 : 300;
    const source = openSource(await serve(handler), { timeoutMs, retries: 0 });
    expect(await codeOf(source.tile(TILE))).toBe(code);
    expect(await codeOf(source.entries(0, 256))).toBe(code);
  });

  it('asks again where that may help, and names itself', async () => {
    const dir = logOf300();
    const agents = new Set<string | undefined>();
    let [asked, broken] = [0, 2];
    const url = await serving(dir, (_, response, request) => {
      asked++;
      agents.add(request.headers['user-agent']);
      broken--;
      if (broken === 1) response.destroy();
      if (broken === 0) response.writeHead(503, { 'retry-after': '0' }).end();
    });
    const source = openSource(url, { retries: 2, userAgent: 'test/1' });
    expect((await source.tile(TILE)).length).toBe(44 * 32);
    expect([asked, ...agents]).toEqual([3, 'test/1']);
  });

  it('finds the files of a Rekor server below its /api/v2, and asks there from then on', async () => {
    const dir = logOf300();
    const asked: string[] = [];
    const url = await serving(dir, (path, response) => {
      asked.push(path);
      if (!path.includes('api/v2/')) response.writeHead(404).end();
      else if (existsSync(join(dir, path.replace('api/v2/', '')))) {
        response.end(readFileSync(join(dir, path.replace('api/v2/', ''))));
      }
    });
    const source = openSource(url);
    await source.checkpoint();
    await source.tile(TILE);
    await source.entries(1, 44);
    expect(asked).toEqual([
      'checkpoint',
      'api/v2/checkpoint',
      'api/v2/tile/0/001.p/44',
      'api/v2/tile/entries/001.p/44',
    ]);
    expect(await codeOf(openSource(`${url}/api/v2`).checkpoint())).toBe('done');
    expect(asked.at(-1)).toBe('api/v2/checkpoint');
  });

  it('says at once that a server does not serve its files', async () => {
    const dir = logOf300();
    let asked = 0;
    const url = await serving(dir, (path, response) => {
      if (!path.includes('api/v2/')) return void response.writeHead(404).end();
      asked++;
      response.writeHead(501).end();
    });
    await expect(openSource(url).checkpoint()).rejects.toThrow(/status 501: this server does not serve the files/);
    expect(asked).toBe(1);
  });

  it('waits for nothing when it is told to stop', async () => {
    const url = await serve(() => {});
    const stop = new AbortController();
    const work = codeOf(openSource(url).checkpoint(stop.signal));
    stop.abort();
    expect(await work).toBe('cancelled');
  });
});
