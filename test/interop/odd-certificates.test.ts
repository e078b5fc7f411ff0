/** Our log and Rekor's take and refuse the same certificates. */
import { sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Contestant, REKOR_FAST, type Running, STELE_SIGNED } from '../../bench/peers/contestants.ts';
import { tempDir } from '../support/log.ts';
import { oddCertificates } from '../support/odd-certificates.ts';
import { hashedRekordRequest, jsonValue, makeSigner } from '../support/requests.ts';
import { skips } from '../support/skip.ts';
import { lackingPeer } from './tools.ts';

const signer = makeSigner('p256');
const odd = oddCertificates(signer.spki, (tbs) => sign('sha256', tbs, signer.privateKey));

describe.skipIf(skips('certificates and Rekor', lackingPeer(REKOR_FAST)))('odd certificates', () => {
  let dir: Awaited<ReturnType<typeof tempDir>>;
  const running: Running[] = [];

  beforeAll(async () => {
    dir = await tempDir();
  });
  afterAll(async () => {
    for (const { child } of running) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    await dir.remove();
  });

  /** What the log answers to a signature with each of the certificates. */
  async function verdicts({ start, path }: Contestant, name: string): Promise<Record<string, number>> {
    await mkdir(join(dir.path, name));
    const log = await start!(join(dir.path, name));
    running.push(log);
    const headers = { 'content-type': 'application/json' };
    const one = async (certificate: Buffer): Promise<number> => {
      const request = hashedRekordRequest(signer);
      const { signature } = request.hashedRekordRequestV002;
      signature.verifier = { x509Certificate: { rawBytes: certificate }, keyDetails: signer.keyDetails };
      const body = JSON.stringify(jsonValue(request));
      const reply = await fetch(`http://127.0.0.1:${log.port}${path}`, { method: 'POST', headers, body });
      await reply.arrayBuffer();
      return reply.status === 200 ? 201 : reply.status;
    };
    const answers = await Promise.all(odd.map(({ certificate }) => one(certificate)));
    return Object.fromEntries(odd.map(({ what }, at) => [what, answers[at]!]));
  }

  it('are taken and refused by both alike', async () => {
    // What Go's releases do. A program that is built outside of a module keeps what Go 1.20 did: it takes a negative serial
    // number, and a URI with two ports.
    const { GODEBUG = '' } = process.env;
    process.env.GODEBUG = `${GODEBUG},x509negativeserial=0,urlstrictcolons=1`;
    const theirs = await verdicts(REKOR_FAST, 'rekor').finally(() => {
      process.env.GODEBUG = GODEBUG;
    });
    expect(theirs).toEqual(
      Object.fromEntries(odd.map(({ what, refusal }) => [what, refusal === undefined ? 201 : 400])),
    );
    expect(await verdicts(STELE_SIGNED, 'stele')).toEqual(theirs);
  });
});
