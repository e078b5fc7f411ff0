/** What the authority needs is away, or its clock is wrong: no certificate leaves. Real processes. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { intermediateProfile } from '../../../client/ca/certificates/extensions.ts';
import { makeCertificate, newSerial } from '../../../client/ca/certificates/make-certificate.ts';
import { formatPem } from '../../../merkle/pem.ts';
import { createTokenKey, openTokenSigner } from '../../../merkle/runtime/keys/pkcs11/pkcs11.ts';
import { CA_NAMES, type CaAnswer, type CaProcess, type CaWorld, makeCaWorld } from '../../support/ca-service.ts';
import { fakeClock, noFaketime } from '../../support/faketime.ts';
import { tempDir } from '../../support/log.ts';
import { skips } from '../../support/skip.ts';
import { NO_SOFTHSM, type SoftHsm, startSoftHsm } from '../../support/softhsm.ts';
import { until } from '../../support/until.ts';

const HOUR = 3600;

let dir: Awaited<ReturnType<typeof tempDir>>;
let world: CaWorld;
let ca: CaProcess | undefined;

beforeAll(async () => {
  dir = await tempDir();
  world = await makeCaWorld(dir.path, { settings: 'limits: { logTimeout: 2s, pending: 3 }' });
}, 60_000);

afterEach(async () => {
  await ca?.kill();
  ca = undefined;
});

afterAll(async () => {
  await world?.close();
  await dir.remove();
});

let nonce = 0;
const ask = (claims: Readonly<Record<string, unknown>> = {}) =>
  ca!.ask({ token: world.token({ nonce: ++nonce, ...claims }) });
const answered = ({ status, json }: CaAnswer) => [status, json.error];
/** A token that is right when it is `hours` later than now. */
const tokenAt = (hours: number) => {
  const then = Math.floor(Date.now() / 1000) + hours * HOUR;
  return world.token({ nonce: ++nonce, iat: then, nbf: then - 60, exp: then + 300 });
};
const pending = async () => {
  const metrics = await (await fetch(`${ca!.adminUrl}/metrics`)).text();
  return Number(/^stele_ca_pending_certificates (\d+)$/m.exec(metrics)![1]);
};

describe('the log', () => {
  it('that is away lets no certificate leave, and each that was promised is logged once it is back', async () => {
    ca = await world.startCa();
    expect((await ask()).status).toBe(200);
    await world.log.kill();
    const token = world.token({ nonce: 'first' });
    // The first request finds out; its certificate is promised and does not leave.
    const first = await ca.ask({ token });
    expect(answered(first)).toEqual([503, 'log-unavailable']);
    expect(first.json).toMatchObject({ code: 14, details: [] });
    expect(first.headers.get('retry-after')).toBe('2');
    expect(await pending()).toBe(1);
    const { ready, reasons } = await ca.ready();
    expect(ready).toBe(false);
    expect(reasons.join()).toContain('the log takes no certificates');
    // Later ones are refused before they use up their tokens.
    const later = world.token({ nonce: 'later' });
    expect(answered(await ca.ask({ token: later }))).toEqual([503, 'log-unavailable']);
    expect(await pending()).toBe(1);

    // A new process has the promise too, and starts without the log.
    await ca.kill();
    ca = await world.startCa();
    expect(await pending()).toBe(1);
    expect(answered(await ca.ask({ token: later }))).toEqual([503, 'log-unavailable']);
    await world.startLog();
    await until(async () => (await pending()) === 0 && (await ca!.ready()).ready);
    expect((await ca.ask({ token: later })).status).toBe(200);
    expect(answered(await ca.ask({ token }))).toEqual([401, 'token-used']);
  }, 60_000);

  it('whose witness is away lets no certificate leave, and keeps few waiting', async () => {
    ca = await world.startCa();
    // Neither what is issued nor what is refused late waits for ever: more of both than `limits.pending`.
    for (let i = 0; i < 4; i++) {
      const token = world.token({ nonce: ++nonce });
      expect(answered(await ca.ask({ token }))).toEqual([200, undefined]);
      expect(answered(await ca.ask({ token }))).toEqual([401, 'token-used']);
    }
    world.witness.signal('SIGSTOP');
    try {
      const all = await Promise.all(Array.from({ length: 8 }, () => ask()));
      for (const one of all) expect(one.status, one.text).toBe(503);
      // As `limits.pending` says.
      expect(await pending()).toBeLessThanOrEqual(3);
      const more = await Promise.all(Array.from({ length: 8 }, () => ask()));
      for (const one of more) expect(one.status, one.text).toBe(503);
      expect(await pending()).toBeLessThanOrEqual(3);
    } finally {
      world.witness.signal('SIGCONT');
    }
    await until(async () => (await pending()) === 0);
    await until(async () => (await ask()).status === 200);
  }, 90_000);
});

describe.skipIf(skips('the clock of the authority', noFaketime))('the clock', () => {
  it('that is back lets no certificate leave, also after a restart', async () => {
    const clock = await fakeClock(join(dir.path, 'clock'));
    ca = await world.startCa({ env: clock.env });
    expect((await ask()).status).toBe(200);
    await clock.set('-1h');
    for (const token of [world.token({ nonce: 'back' }), tokenAt(-1)]) {
      expect(answered(await ca.ask({ token }))).toEqual([503, 'clock']);
    }
    expect((await ca.ready()).reasons.join()).toContain("the authority's clock says");
    await ca.kill();
    ca = await world.startCa({ env: clock.env });
    await until(async () => (await ca!.ready()).reasons.some((one) => one.includes('clock')));
    expect(answered(await ca.ask({ token: tokenAt(-1) }))).toEqual([503, 'clock']);
    await clock.set('+0');
    expect((await ask()).status).toBe(200);
  }, 60_000);

  it('that is ahead of the witnesses lets no certificate leave, and does not hold up the right time', async () => {
    const clock = await fakeClock(join(dir.path, 'clock'), '+2h');
    ca = await world.startCa({ env: clock.env });
    const answer = await ca.ask({ token: tokenAt(2) });
    expect(answered(answer)).toEqual([503, 'clock']);
    expect(answer.json.message).toContain('its clock is wrong');
    await clock.set('+0');
    await until(async () => (await ask()).status === 200);
  }, 60_000);
});

describe.skipIf(skips('the token of the authority', NO_SOFTHSM))('a key in a token', () => {
  let hsm: SoftHsm;
  afterAll(async () => await hsm?.stop());

  it('that is gone lets no certificate leave, and is used again once it is back', async () => {
    hsm = (await startSoftHsm())!;
    await hsm.initToken('ca', '1234');
    const pinFile = await hsm.pinFile('1234');
    const spec = { module: hsm.module, token: 'ca', label: 'team', pin: { file: pinFile } };
    await createTokenKey({ ...spec, algorithm: 'ecdsa-p256' });
    const signer = await openTokenSigner(spec);
    const { publicKey } = signer;
    await signer.close();
    const start = Math.floor(Date.now() / 1000) * 1000 - 86_400_000;
    const der = await makeCertificate({
      subject: { organization: 'stele tests', commonName: 'in a token' },
      publicKey,
      issuer: world.root,
      serial: newSerial(),
      notBefore: start,
      notAfter: start + 30 * 86_400_000,
      extensions: intermediateProfile(CA_NAMES),
    });
    const chain = [der, world.root.certificate.der].map((one) => formatPem('CERTIFICATE', one)).join('');
    await writeFile(join(dir.path, 'token.chain.pem'), chain);
    const text = await readFile(world.configFile, 'utf8');
    const key = `key: { pkcs11: { module: '${hsm.module}', token: ca, label: team, pinFile: '${pinFile}' } }`;
    const inToken = text.replace('ci.chain.pem', 'token.chain.pem').replace('key: { file: ci.key.pem }', key);
    const file = join(dir.path, 'token.yaml');
    await writeFile(file, inToken);
    ca = await world.startCa({ args: ['--config', file], env: hsm.env });
    expect((await ask()).status).toBe(200);
    await hsm.takeAway();
    const token = world.token({ nonce: 'while the token is away' });
    const away = await ca.ask({ token });
    expect(answered(away)).toEqual([503, 'key-unavailable']);
    expect(away.text).not.toContain('softhsm');
    await hsm.giveBack();
    // Nothing was used up.
    await until(async () => (await ca!.ask({ token })).status === 200);
    await until(async () => (await ask()).status === 200);
  }, 60_000);
});
