/** `stele decide --registry`, as users run it, on a registry of this test. With cosign: test/interop/policy-docs.test.ts. */
import { readFileSync } from 'node:fs';
import { chmod } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUNDLE, type Descriptor, OciServer } from '../../../support/oci-server.ts';
import { SteleIn } from '../../../support/stele-in.ts';

const AUTH = Buffer.from('robot:s3cret').toString('base64');
const POLICY = `version: 1
name: images
artifacts: [ '127.0.0.1:*/team/*' ]
signers:
  reviewer: { keyFile: reviewer.pub }
rules:
  - name: reviewed
    type: https://example.com/review/v1
    signers: [reviewer]
`;

let stele: SteleIn;
let image: Descriptor;
const open = new OciServer();
const closed = new OciServer({
  intercept: (request, reply) => {
    if (request.headers.authorization === `Basic ${AUTH}`) return false;
    reply.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    return true;
  },
});

beforeAll(async () => {
  stele = await SteleIn.start();
  const log = ['--log', stele.log.url, '--log-key', stele.log.vkey];
  stele.write('policy.yaml', POLICY);
  stele.write('review.json', '{"result":"good"}');
  await Promise.all([open.start(), closed.start()]);
  image = open.image('v1');
  closed.image('v1');
  stele.write('manifest.json', await (await fetch(`http://${open.host}/v2/x/manifests/v1`)).text());
  const what = ['--predicate', 'review.json', '--type', 'https://example.com/review/v1', '--out', 'bundle.json'];
  await stele.done(
    'attest',
    'manifest.json',
    ...what,
    ...log,
    '--new-key',
    'reviewer.pem',
    '--public-out',
    'reviewer.pub',
  );
  const bundle = readFileSync(stele.path('bundle.json'), 'utf8');
  for (const server of [open, closed]) server.attach(image, bundle, BUNDLE);
  stele.write('config.json', JSON.stringify({ auths: { [closed.host]: { auth: AUTH } } }));
  await chmod(stele.path('config.json'), 0o600);
}, 60_000);
afterAll(async () => {
  await Promise.all([open.close(), closed.close()]);
  await stele.end();
});

const decide = (...args: readonly string[]) =>
  stele.run('decide', ...args, '--policy', 'policy.yaml', '--quorum-policy', 'quorum');
const named = ({ host }: OciServer) => `${host}/team/app:v1@${image.digest}`;
const plain = ({ host }: OciServer) => ['--registry', '--insecure-registry', host];

describe('stele decide --registry', () => {
  it('allows an image by what its registry has about it', async () => {
    const { status, out, err } = await decide(named(open), ...plain(open));
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toContain(`http://${open.host}/v2/team/app/blobs/sha256:`);
  });

  it('asks a closed registry with the credentials of a file, and never shows them', async () => {
    const config = ['--registry-config', 'config.json'];
    expect(await decide(named(closed), ...plain(closed), ...config)).toMatchObject({ status: 0 });
    const without = await decide(named(closed), ...plain(closed));
    expect(without).toMatchObject({ status: 2, out: '' });
    expect(without.err).toContain('stele: error [refused]');
    await chmod(stele.path('config.json'), 0o644);
    const shared = await decide(named(closed), ...plain(closed), ...config);
    expect(shared).toMatchObject({ status: 2, out: '' });
    expect(shared.err).toContain('is open to others (mode 0644)');
    expect(shared.err).not.toContain(AUTH);
  });

  it('tries no registry by http that is not listed', async () => {
    const { status, out, err } = await decide(named(open), '--registry');
    expect({ status, out }).toEqual({ status: 2, out: '' });
    expect(err).toMatch(/stele: error \[(network|refused)\]/);
    expect(open.requests.filter(({ line }) => line.startsWith('CONNECT'))).toEqual([]);
  });

  it.each([
    ['--registry-config', 'config.json'],
    ['--insecure-registry', 'localhost:5000'],
  ])('says that %s is about a registry', async (...option) => {
    const { status, err } = await decide(named(open), '--evidence', 'bundle.json', ...option);
    expect(status).toBe(2);
    expect(err).toContain('are about a registry: give --registry');
  });

  it('takes no tag for an image', async () => {
    const { status, err } = await decide(`${open.host}/team/app:v1`, ...plain(open));
    expect(status).toBe(2);
    expect(err).toContain('stele: error [');
  });
});
