/** Compares long texts with a pattern, away from the thread that serves. */
import { Piscina } from 'piscina';
import { type TermTester, termTester } from '../terms.ts';

let last: { readonly pattern: string; readonly tester: TermTester } | undefined;

/** Task and answer are JSON: `[pattern, text, …]`, and a list of booleans. */
export default async function compare(task: ArrayBuffer): Promise<unknown> {
  const [pattern, ...texts] = JSON.parse(Buffer.from(task).toString()) as [string, ...string[]];
  if (last?.pattern !== pattern) {
    last = { pattern, tester: await termTester({ kind: 'identity', match: 're2', value: pattern }) };
  }
  const { tester } = last;
  return Piscina.move(new TextEncoder().encode(JSON.stringify(texts.map((text) => tester.test(text)))).buffer);
}
