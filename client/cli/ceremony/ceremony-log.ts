/** `stele ceremony log`: after the day, on a machine with a network, the signed transcript goes to a log with witnesses. */
import { concat, encodeUtf8 } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { usage } from '../../errors.ts';
import { type Bundle, bundleJson, parseBundle } from '../../formats/bundle.ts';
import { LogClient } from '../../submit/log-client.ts';
import { parseLogUrl } from '../../submit/log-url.ts';
import { parseSigned, parseVerifierPem } from '../../submit/submission.ts';
import { CeremonyStore } from '../../trust/ceremony/ceremony-store.ts';
import { checkTranscriptSigners, MAX_ENVELOPE } from '../../trust/ceremony/transcript.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { givenOrFirstUse, type LogArguments, readLogTrust, requestOptions } from '../log-options.ts';
import { print } from '../report.ts';
import { readSignedTranscript } from './ceremony-root.ts';

interface CeremonyLogOptions extends LogArguments {
  readonly log?: string;
}

export async function logTranscript(dir: string, options: CeremonyLogOptions): Promise<void> {
  if (options.log === undefined) throw usage('name the log with --log');
  const log = parseLogUrl(options.log);
  const given = await readLogTrust(options);
  const http = await requestOptions(options);
  const store = new CeremonyStore(dir);
  const { ceremony, signatures } = await readSignedTranscript(store);
  const holders = signatures.map(({ holder }) => holder);
  checkTranscriptSigners(ceremony, holders);
  const verifiers = holders.map((holder) => parseVerifierPem(ceremony.keys.get(holder)!.step.publicKey));
  const envelope = (await store.read('envelope', MAX_ENVELOPE))!;
  const { trust } = await givenOrFirstUse(given.trust, log, http);
  const client = new LogClient(log, trust, http);
  const results = await client.submitMany(parseSigned(envelope, verifiers), { signal: http.signal });
  // All or nothing: the log gives the entries that it has again.
  const logged = results.map((result) => {
    if (result instanceof Error) throw result;
    return result;
  });
  const lines = logged.map(({ bundle }) => encodeUtf8(`${JSON.stringify(bundleJson(withoutKeyId(bundle)))}\n`));
  await store.locked(() => store.write('bundles', concat(...lines)));
  const [first] = logged;
  const indexes = logged.map(({ entry }) => entry.index);
  const origin = first!.verified.origin;
  print(options.json, { bundles: store.path('bundles'), origin, indexes, holders }, [
    `The transcript is in the log ${printable(origin)}, an entry for each holder who signed: ${indexes.join(', ')}.`,
    '',
    'Publish the root, the transcript and the policy. Others check them offline:',
    `  ${calledAs()} verify ${shellWord(store.path('root'))} --ceremony ${shellWord(store.path('bundles'))} --policy POLICY`,
  ]);
}

/** Other verifiers refuse a signature whose key ID is not the one that they compute, and TUF's is not. */
function withoutKeyId(bundle: Uint8Array): Bundle {
  const parsed = parseBundle(bundle);
  return parsed.content.kind === 'dsse' ? { ...parsed, content: { ...parsed.content, keyId: '' } } : parsed;
}
