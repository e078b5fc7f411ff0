/** Gets one target with `@sigstore/tuf`, which lies below the working directory. Its bytes in the cache go to stdout, in base64. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [mirrorURL, rootPath, cachePath, target, forceCache] = process.argv.slice(2);
const { initTUF } = createRequire(join(process.cwd(), 'x.js'))('@sigstore/tuf');

const why = (error) => (error.cause === undefined ? `${error}` : `${error}: ${why(error.cause)}`);

try {
  const options = { mirrorURL, rootPath, cachePath, retry: 0, forceCache: forceCache === 'forceCache' };
  const client = await initTUF(options);
  await client.getTarget(target);
  const { host, pathname } = new URL(mirrorURL);
  const repository = encodeURIComponent(host + pathname.replace(/\/$/, ''));
  const file = join(cachePath, repository, 'targets', encodeURIComponent(target));
  process.stdout.write(readFileSync(file, 'base64'));
} catch (error) {
  console.error(why(error));
  process.exitCode = 1;
}
