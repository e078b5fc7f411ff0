/** The records that earlier builds wrote open unchanged: what a monitor knows of a log, and what an audit remembers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { auditLog } from '../../../client/audit/audit.ts';
import { decodeState, encodeState } from '../../../client/monitor/log-state.ts';
import { parseVerifierKey } from '../../../merkle/note.ts';
import { nodeSha256 } from '../../merkle/helpers.ts';
import { entriesOf, FakeLog, View } from '../../support/fake-log.ts';
import { tempDir } from '../../support/log-files.ts';

const KEY = 'log.test+cbf04d54+AQyW01C8NLDHkV+CwEXLl33cLbct5Yr9FcEK2W+hnWqq';
/** Of the entries `entriesOf(300)`. The private key is gone. */
const NOTE =
  'log.test\n300\nyjk9Apa+xeC43KuYO9H7fRRh9RLnJny4ljGtJv1m2Eg=\nLog frozen — 2026-01-01T00:00:00Z\n\n' +
  '— log.test y/BNVOcyQcOcUzfxzr5eAD6eWJIWBKF9uFYXGvhlrKFnt1ZRHKMWAR5TqaGOBxCPn2w6JSrlLTF4sowwYe2dXz3HXAc=\n';
const LEFT = '2mWW2VNp9f7zIquOTg2jsLUCNqqcijsdJG90Ecni4y4=';
const RIGHT =
  '"R6PPvsyXR0xVU54IJQIfiQiuEQthLz8fb5CIAjIj3dQ=","DSBEUTY5hE0/elclREuBapll+q6i4hRmDohxDI6axb4=","hdaXI3Hpu46sbw66WPqu67hTEa0IKLiQG+nZ414zd1k="';

it('the record of a monitor comes back byte for byte', () => {
  const note = JSON.stringify(NOTE);
  const json = Buffer.from(
    `{"format":1,"origin":"log.test","keys":["${KEY}"],"size":300,"hashes":["${LEFT}",${RIGHT}],"head":${note},` +
      `"frozen":{"size":300,"head":${note}},"followed":1767225600000,"reported":{"stale":{"id":"ab","seen":5}},` +
      `"views":{"https://peer.test":{"agreed":7,"ahead":${note}}},"shard":{"location":"https://log.test","keys":["${KEY}"]}}`,
  );
  const record = Buffer.concat([nodeSha256(json), json]);
  const state = decodeState({ origin: 'log.test', keys: [parseVerifierKey(KEY)] }, record);
  expect(Buffer.from(encodeState(state))).toEqual(record);
  expect(state).toMatchObject({ range: { size: 300 }, head: { size: 300 }, followed: 1767225600000 });
  expect(state.peers.get('https://peer.test')).toMatchObject({ agreed: 7, ahead: { size: 300 } });
});

it('the state of an audit is read without the members that came later, gets them, and then comes back byte for byte', async () => {
  const text = `{"format":"stele-audit-state/1","origin":"log.test","heads":[${JSON.stringify(NOTE)}],"bundles":1,"edge":["${LEFT}"],"complete":true,"signatures":false,"verified":0,"notChecked":0,"sha256":"399680d4dc92a8358ccf7602bdecc7d11cc230c69cb7dac576832b2554e9d9f0"}\n`;
  const stateFile = join(await tempDir(), 'state');
  writeFileSync(stateFile, text);
  const log = new FakeLog(new View(entriesOf(300)));
  log.note = NOTE;
  const extend = async () => {
    const report = await auditLog(log.source(), { logKey: KEY, stateFile, threads: 1 });
    expect(report).toMatchObject({ extended: [300], signedBy: [KEY] });
    expect(report.corruption).toBeUndefined();
    return readFileSync(stateFile, 'utf8');
  };
  const written = await extend();
  const { tail, sha256: _, ...kept } = JSON.parse(written);
  const { sha256: __, ...before } = JSON.parse(text);
  expect(kept).toEqual(before);
  expect(Buffer.from(tail, 'base64')).toHaveLength((300 - 256) * 32);
  expect(await extend()).toBe(written);
});
