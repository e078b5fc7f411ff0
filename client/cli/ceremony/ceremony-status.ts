/** `stele ceremony status`: what is done, and who is to do what next. */
import { printable } from '../../../merkle/printable.ts';
import type { Ceremony } from '../../trust/ceremony/ceremony.ts';
import { CeremonyStore } from '../../trust/ceremony/ceremony-store.ts';
import { MAX_ENVELOPE } from '../../trust/ceremony/transcript.ts';
import { print } from '../report.ts';
import { readSignedTranscript, stagedRoot } from './ceremony-root.ts';
import { grouped } from './ceremony-words.ts';

export async function status(dir: string, { json }: { readonly json?: boolean }): Promise<void> {
  const store = new CeremonyStore(dir);
  const { ceremony } = await store.ceremony();
  if (ceremony.root !== undefined) await stagedRoot(store, ceremony);
  const made = (await store.read('transcript', MAX_ENVELOPE)) !== undefined;
  const signed = made ? (await readSignedTranscript(store)).signatures.map(({ holder }) => holder) : [];
  const logged = (await store.read('bundles', MAX_ENVELOPE * 16)) !== undefined;
  const { begin, keys, root, signatures, authority } = ceremony;
  const next = nextStep(ceremony, made, signed.length, logged);
  const holders = begin.holders.map((holder) => ({
    holder,
    keyid: keys.get(holder)?.key.keyid ?? null,
    token: keys.get(holder)?.step.token.label ?? null,
    signedRoot: signatures.has(holder),
    signedTranscript: signed.includes(holder),
  }));
  const facts = {
    name: begin.name,
    threshold: begin.threshold,
    root: root?.sha256 ?? null,
    authority: authority?.sha256 ?? null,
    transcript: made,
    logged,
  };
  print(json, { ...facts, holders, next }, [
    `${printable(begin.name)}: ${begin.threshold} of ${begin.holders.length} holders must sign`,
    ...holders.map(({ holder, keyid, token, signedRoot, signedTranscript }) => {
      const done = [...(signedRoot ? ['root'] : []), ...(signedTranscript ? ['transcript'] : [])];
      const what = keyid === null ? 'no key yet' : `key ${grouped(keyid.slice(0, 16))}… in "${printable(token ?? '')}"`;
      return `  ${holder.padEnd(16)}  ${what}${done.length === 0 ? '' : `, signed ${done.join(' and ')}`}`;
    }),
    ...(root === undefined ? [] : [`Root: ${grouped(root.sha256)}`]),
    ...(authority === undefined ? [] : [`Root of the certificate authority: ${grouped(authority.sha256)}`]),
    `Next: ${next}`,
  ]);
}

function nextStep({ begin, keys, root, signatures }: Ceremony, made: boolean, signed: number, logged: boolean): string {
  const without = begin.holders.filter((holder) => !keys.has(holder));
  if (without.length > 0) return `a key of ${without.join(', ')} (\`stele ceremony key\`)`;
  if (root === undefined) return 'the root (`stele ceremony root`)';
  const { threshold } = begin;
  if (signatures.size < threshold)
    return `${threshold - signatures.size} more signatures of the root (\`stele ceremony sign\`)`;
  if (!made) return 'the transcript (`stele ceremony transcript`), once everybody who wants to has signed the root';
  if (signed < threshold)
    return `${threshold - signed} more signatures of the transcript (\`stele ceremony sign-transcript\`)`;
  if (!logged) return 'the log, on a machine with a network (`stele ceremony log`)';
  return 'nothing: the ceremony is over';
}
