import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTokenVerifier } from '../../merkle/runtime/identity/tokens/open-token-verifier.ts';
import { TOKEN_ALGORITHMS } from '../../merkle/runtime/identity/tokens/token-algorithms.ts';
import type { Micro } from './micro.ts';

const BATCH = 64;
const WISH = { audience: 'log.example.com', maxLifetimeMs: 600_000 };
const KEYS = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: () => generateKeyPairSync('ed25519'),
};

/** Tokens of one issuer, 64 under way at a time, as a busy service has them. The signatures are checked in other threads. */
async function verifying(algorithm: keyof typeof KEYS): Promise<Micro> {
  const { privateKey, publicKey } = KEYS[algorithm]();
  const issuer = 'https://accounts.example.com';
  const dir = mkdtempSync(join(tmpdir(), 'bench-token-'));
  const keysFile = join(dir, 'keys.json');
  writeFileSync(keysFile, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: '1' }] }));
  const settings = { issuer, keysFile, algorithms: [...TOKEN_ALGORITHMS], keepKeys: 86_400_000, allowHttp: false };
  const verifier = await openTokenVerifier({ issuers: [settings] });
  rmSync(dir, { recursive: true });
  const seconds = Math.floor(Date.now() / 1000);
  const tokens = Array.from({ length: BATCH }, (_, i) => {
    const claims = {
      iss: issuer,
      aud: WISH.audience,
      sub: 'builder-1',
      iat: seconds,
      exp: seconds + 600,
      jti: String(i),
    };
    const input = [{ alg: algorithm, kid: '1', typ: 'JWT' }, claims]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    const hash = algorithm === 'EdDSA' ? null : 'sha256';
    const signature = sign(hash, Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' });
    return `${input}.${signature.toString('base64url')}`;
  });
  return {
    name: `token of ${algorithm}, verified`,
    unit: 'token',
    per: BATCH,
    run: () => Promise.all(tokens.map((token) => verifier.verify(token, WISH))),
    close: () => verifier.close(),
  };
}

export const token: Micro[] = [await verifying('ES256'), await verifying('EdDSA'), await verifying('RS256')];
