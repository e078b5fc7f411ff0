/** The commands that try a new log, to be pasted into another terminal. */
import { existsSync } from 'node:fs';
import { calledAs, shellWord } from './called-as.ts';

/** Files to sign. Not README.md: npm always packs README.*, and so the README.md.key.pem that `stele sign` makes. */
const SAMPLES = ['docs/operation.md', 'package.json'];

interface ProvableIndex {
  readonly url: string;
  /** Of its output log. */
  readonly policy: string;
  readonly rebuilders: string;
}

/**
 * @param policy file of the trust policy, where the log has witnesses
 * @param raw the log takes opaque entries alone
 * @param index where there is one of the log: its URL, and the files that say whom to trust about its completeness
 */
export function tryIt(
  url: string,
  vkey: string,
  { policy, raw = false, index }: { policy?: string; raw?: boolean; index?: ProvableIndex | undefined } = {},
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
    `Sign a file and log it, then check the proof${index === undefined ? '' : ', and find it, proven complete'}:`,
    `  ${calledAs()} sign ${file} --log ${url} --log-key ${shellWord(vkey)}`,
    `  ${calledAs()} verify ${file} --key ${file}.pub.pem ${trust}`,
    ...(index === undefined
      ? []
      : [
          `  ${calledAs()} search --index ${index.url} --digest ${file} ${trust} \\`,
          `      --proven --output-policy ${shellWord(index.policy)} --rebuilders ${shellWord(index.rebuilders)}`,
        ]),
    '',
  ];
}
