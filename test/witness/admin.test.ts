import { describe, expect, it } from 'vitest';
import { createAdminApp } from '../../witness/admin.ts';
import { listLogs } from '../../witness/listing.ts';
import { injectable } from '../support/inject.ts';
import { silent } from '../support/silent.ts';
import { later, makeWitness, TestLog } from './helpers.ts';

const log = new TestLog();
const NO_LISTS = { status: () => [], alarms: () => [] };
const TOKEN = 'a token of more than sixteen characters';

async function admin() {
  const witness = await makeWitness();
  const list = () => listLogs(witness.logs, witness.store.current);
  const app = injectable(
    createAdminApp(
      witness.witness,
      witness.logs,
      { token: TOKEN, hosts: ['prometheus.internal'], list, lists: NO_LISTS },
      witness.metrics,
      silent,
    ),
  );
  later(() => app.close());
  const post = async (url: string, payload: object, headers: Record<string, string> = {}) => {
    const authorization = `Bearer ${TOKEN}`;
    const all = { host: 'localhost:3101', authorization, ...headers };
    const { statusCode, body } = await app.inject({ method: 'POST', url, payload, headers: all });
    return { status: statusCode, body: JSON.parse(body) as { message?: string; origin?: string; disabled?: string[] } };
  };
  return { witness, app, post };
}

describe('the admin port', () => {
  it('changes the list of logs for who has the token', async () => {
    const { witness, app, post } = await admin();
    expect(await post('/logs/add', { vkey: log.vkey })).toEqual({ status: 200, body: { origin: log.origin } });
    expect((await witness.post(log.request(0, 3))).status).toBe(200);
    const listed = (await app.inject('/logs')).json() as { logs: object[] };
    expect(listed.logs).toMatchObject([{ origin: log.origin, state: 'witnessed', size: 3 }]);
    expect((await post('/logs/disable', { log: log.vkey })).body.disabled).toEqual([log.vkey]);
    expect((await witness.post(log.request(3, 4))).status).toBe(404);
  });

  it('refuses everybody else, and web pages', async () => {
    const { witness, post } = await admin();
    const payload = { vkey: log.vkey };
    for (const headers of [
      { authorization: '' },
      { authorization: 'Bearer other' },
      { origin: 'http://localhost:3101' },
      { host: 'evil.example' },
    ]) {
      expect((await post('/logs/add', payload, headers as Record<string, string>)).status).toBe(401);
    }
    expect(witness.logs.count).toBe(0);
  });

  it('is read by no web page, and by the names that admin.hosts lists', async () => {
    const { app } = await admin();
    for (const url of ['/logs', '/metrics', '/readyz', '/healthz']) {
      for (const headers of [{ origin: 'http://localhost:3101' }, { host: 'evil.example' }]) {
        const reply = await app.inject({ url, headers });
        expect(reply.statusCode).toBe(403);
        expect(reply.body).not.toContain('stele_');
        if (!('origin' in headers)) expect(reply.json().message).toContain('`admin.hosts`');
      }
      for (const host of ['localhost:3101', 'prometheus.internal:3101']) {
        expect((await app.inject({ url, headers: { host } })).statusCode).toBe(200);
      }
    }
  });

  it('says what is wrong with a request', async () => {
    const { post } = await admin();
    expect((await post('/logs/add', {})).status).toBe(400);
    expect((await post('/logs/add', { vkey: log.vkey, other: 'x' })).status).toBe(400);
    expect((await post('/logs/add', { vkey: 7 })).status).toBe(400);
    expect((await post('/logs/add', { vkey: 'nonsense' })).body.message).toContain('verifier key');
    expect((await post('/logs/disable', { log: 'none' })).status).toBe(400);
  });

  it('shows health and metrics to all', async () => {
    const { witness, app } = await admin();
    expect((await app.inject('/healthz')).body).toBe('ok\n');
    expect((await app.inject('/readyz')).json()).toEqual({ ready: true, reasons: [] });
    await witness.post('');
    expect((await app.inject('/metrics')).body).toContain('stele_witness_refusals_total{reason="malformed"} 1');
    await witness.store.close();
    expect((await app.inject('/readyz')).statusCode).toBe(503);
    expect((await app.inject('/metrics')).body).toContain('\nstele_witness_readiness_reasons 1\n');
  });
});
