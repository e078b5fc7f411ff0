import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { type CaProcess, type CaWorld, makeCaWorld } from '../../support/ca-service.ts';
import { tempDir } from '../../support/log.ts';

let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;
let ca: CaProcess;

beforeAll(async () => {
  dir = await tempDir();
  world = await makeCaWorld(dir.path);
  ca = await world.startCa();
}, 60_000);

afterAll(async () => {
  await ca?.kill();
  await world?.close();
  await dir.remove();
});

describe('stele ca serve', () => {
  it('issues a logged certificate for a token', async () => {
    const { status, json, text } = await ca.ask({ token: world.token() });
    expect(status, text).toBe(200);
    const { certificates } = json.signedCertificateEmbeddedSct.chain;
    expect(certificates).toHaveLength(3);
    const leaf = parseCertificate(new Uint8Array(new X509Certificate(certificates[0]).raw));
    expect(leaf.names).toEqual([{ type: 'email', value: 'release@example.com' }]);
    expect(json.tlogProof).toContain('c2sp.org/tlog-proof@v1');
  });
});
