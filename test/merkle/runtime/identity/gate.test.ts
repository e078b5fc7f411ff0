import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { Gate } from '../../../../merkle/runtime/identity/gate.ts';
import { accessPolicyOf, JUDGED_AT, oneAccessRule, workload } from '../../../support/access-policy.ts';

const REQUEST = {} as IncomingMessage;

it('tells a caller past its rate when to come again, and one without a rule that it may not', async () => {
  const policy = await accessPolicyOf(oneAccessRule('perMinute: 2', '[cosign]'));
  let path = '/build/1';
  const identifier = { identify: () => workload(path), challengeFor: () => 'Certificate' };
  const gate = new Gate({ identifier, policy, now: () => JUDGED_AT });
  const call = () => gate.admit(REQUEST, { action: 'cosign' });
  await call();
  await call();
  const late = gate.refusalOf(await call().catch((error) => error));
  expect(late).toMatchObject({ status: 429, code: 'caller-rate' });
  expect(Number(late!.headers['retry-after'])).toBeGreaterThan(0);
  path = '/other';
  const refused = gate.refusalOf(await call().catch((error) => error));
  expect(refused).toMatchObject({ status: 403, code: 'not-allowed' });
  expect(refused!.headers).not.toHaveProperty('retry-after');
});
