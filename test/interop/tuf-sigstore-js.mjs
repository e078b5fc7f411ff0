/**
 * Gets targets with `@sigstore/tuf`, which lies below the working directory. A line on stdin is a job,
 * `{ url, root, directory, target, forceCache }`, and a line on stdout its answer, `{ bytes }` (the cached file, in base64) or
 * `{ error }`.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const { initTUF } = createRequire(join(process.cwd(), 'x.js'))('@sigstore/tuf');

const why = (error) => (error.cause === undefined ? `${error}` : `${error}: ${why(error.cause)}`);

async function get({ url, root, directory, target, forceCache }) {
  try {
    const options = { mirrorURL: url, rootPath: root, cachePath: directory, retry: 0, forceCache };
    const client = await initTUF(options);
    await client.getTarget(target);
    const { host, pathname } = new URL(url);
    const repository = encodeURIComponent(host + pathname.replace(/\/$/, ''));
    const file = join(directory, repository, 'targets', encodeURIComponent(target));
    return { bytes: readFileSync(file, 'base64') };
  } catch (error) {
    return { error: why(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await get(JSON.parse(line)))}\n`);
}
