/** The second place on a real S3 server, Ceph's radosgw: its signatures, its conditions, its lists. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { S3Place } from '../../server/log/place-s3.ts';
import { secondPlaceContract } from '../suites/second-place.ts';
import { tempDir } from '../support/log.ts';
import { NO_RADOSGW, type Radosgw, startRadosgw } from '../support/radosgw.ts';
import { skips } from '../support/skip.ts';

const never = new AbortController().signal;
const nameOf = (size: number) => String(size).padStart(16, '0');

describe.skipIf(skips('a second place on radosgw', NO_RADOSGW))('on radosgw', () => {
  let ceph: Radosgw;
  let dir: Awaited<ReturnType<typeof tempDir>>;
  let credentialsFile: string;
  beforeAll(async () => {
    dir = await tempDir();
    ceph = await startRadosgw();
    credentialsFile = join(dir.path, 'credentials');
    await writeFile(credentialsFile, `${ceph.credentials.id}\n${ceph.credentials.secret}\n`, { mode: 0o600 });
  });
  afterAll(async () => {
    await ceph?.stop();
    await dir.remove();
  });

  secondPlaceContract('a second place', async (name) => {
    const path = (record: string) => `/${ceph.bucket}/${name}/${record}`;
    const ok = async (reply: Promise<Response>) => {
      const { status } = await reply;
      expect(status).toBeLessThan(300);
      return await (await reply).text();
    };
    const { id, secret } = ceph.credentials;
    const place = ['--second-place-s3-endpoint', ceph.url, '--second-place-s3-bucket', ceph.bucket];
    return {
      args: [...place, '--second-place-s3-prefix', name],
      env: { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret },
      names: async () => {
        const list = await ok(ceph.request('GET', `/${ceph.bucket}?list-type=2&prefix=${name}%2F`));
        return [...list.matchAll(/<Key>[^<]*\/(\d+)<\/Key>/g)].map(([, record]) => record!);
      },
      read: (record) => ok(ceph.request('GET', path(record))),
      write: async (record, text) => void (await ok(ceph.request('PUT', path(record), text))),
      takeAway: () => ceph.end(),
      giveBack: () => ceph.begin(),
    };
  });

  const open = (prefix: string, more: { readonly region?: string; readonly credentialsFile?: string } = {}) =>
    S3Place.open({ endpoint: ceph.url, bucket: ceph.bucket, prefix, region: 'us-east-1', credentialsFile, ...more });

  it('lets one of many creators of a record win', async () => {
    const places = await Promise.all(Array.from({ length: 8 }, () => open('race/of-eight')));
    const made = await Promise.all(places.map((place, i) => place.create(nameOf(1), Buffer.from(`${i}`), never)));
    expect(made.filter((won) => won)).toHaveLength(1);
    expect(Buffer.from(await places[0]!.read(nameOf(1), never)).toString()).toBe(String(made.indexOf(true)));
  });

  it('names records over several pages of its list, and removes one', async () => {
    const place = await open('many');
    const names = Array.from({ length: 1100 }, (_, i) => nameOf(i * 7));
    const left = [...names];
    const create = async () => {
      for (let name = left.pop(); name !== undefined; name = left.pop()) {
        expect(await place.create(name, Buffer.from('x'), never)).toBe(true);
      }
    };
    await Promise.all(Array.from({ length: 16 }, create));
    expect(await place.names(never)).toEqual(names);
    await place.remove(names[0]!, never);
    await place.remove(names[0]!, never);
    expect(await place.names(never)).toEqual(names.slice(1));
  });

  it('says why it does not let a stranger in', async () => {
    const stranger = join(dir.path, 'stranger');
    await writeFile(stranger, `${ceph.credentials.id}\nanother-secret\n`, { mode: 0o600 });
    const place = await open('log', { credentialsFile: stranger });
    const calls = [() => place.names(never), () => place.create(nameOf(1), Buffer.from('x'), never)];
    for (const call of calls) {
      await expect(call()).rejects.toThrow(/answers 403 \(SignatureDoesNotMatch\) to .*: check the credentials/);
    }
  });
});
