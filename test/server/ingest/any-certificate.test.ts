import { sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { tempDir } from '../../support/log.ts';
import { oddCertificates } from '../../support/odd-certificates.ts';
import { hashedRekordRequest, jsonValue, makeSigner } from '../../support/requests.ts';
import { startServer } from '../../support/serve.ts';

const signer = makeSigner('p256');
const odd = oddCertificates(signer.spki, (tbs) => sign('sha256', tbs, signer.privateKey));
const { certificate } = odd.find(({ what }) => what === 'an extension named by a UUID')!;

describe('a log and a certificate that Go does not read', () => {
  it.each<[string, readonly string[], number]>([
    ['refuses it', [], 400],
    ['takes it where it is set so', ['--ingest-any-certificate'], 201],
  ])('%s', async (_, args, status) => {
    const dir = await tempDir();
    const log = await startServer(dir.path, { args });
    try {
      const request = hashedRekordRequest(signer);
      const verifier = { x509Certificate: { rawBytes: certificate }, keyDetails: signer.keyDetails };
      request.hashedRekordRequestV002.signature.verifier = verifier;
      const body = JSON.stringify(jsonValue(request));
      const headers = { 'content-type': 'application/json' };
      const reply = await fetch(`${log.url}/api/v2/log/entries`, { method: 'POST', headers, body });
      expect(reply.status).toBe(status);
      const text = await reply.text();
      if (status === 400)
        expect(text).toContain('the object identifier of an extension has a number of more than 31 bits');
    } finally {
      await log.kill();
      await dir.remove();
    }
  });
});
