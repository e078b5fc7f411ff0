/** The commands that try a new log, to be pasted into another terminal. */
import { existsSync } from 'node:fs';
import { calledAs, shellWord } from './called-as.ts';

/** Files to sign. Not README.md: npm always packs README.*, and so the README.md.key.pem that `stele sign` makes. */
const SAMPLES = ['docs/operation.md', 'package.json'];

/**
 * @param policy file of the trust policy, where the log has witnesses
 * @param raw the log takes opaque entries alone
 * @param index URL of an index of the log, where there is one
 */
export function tryIt(
  url: string,
  vkey: string,
  { policy, raw = false, index }: { policy?: string; raw?: boolean; index?: string | undefined } = {},
): string[] {
  const file = SAMPLES.find((name) => existsSync(name)) ?? 'FILE';
  const trust = policy === undefined ? `--log-key ${shellWord(vkey)}` : `--policy ${shellWord(policy)}`;
  if (raw) {
    return [
      'Log bytes, then rebuild the tree and check it:',
      `  curl --data-binary @${file} ${url}/add`,
      `  ${calledAs()} audit ${url} ${trust}`,
      '',
    ];
  }
  return [
    `Sign a file and log it, then check the proof${index === undefined ? '' : ', and find it'}:`,
    `  ${calledAs()} sign ${file} --log ${url} --log-key ${shellWord(vkey)}`,
    `  ${calledAs()} verify ${file} --key ${file}.pub.pem ${trust}`,
    ...(index === undefined ? [] : [`  ${calledAs()} search --index ${index} --digest ${file} ${trust}`]),
    '',
  ];
}
