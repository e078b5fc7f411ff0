/** Rules and entries as a monitor of a public log sees them. */
import type { Rule, TextMatch } from '../../client/monitor/rules/types.ts';
import { fulcioCertificate, githubRun, hashedRekord } from '../../test/support/fulcio.ts';

/** 100 rules of every kind; only the last one matches entries below, one in a thousand. */
export function hundredRules(): Rule[] {
  const rules: Rule[] = [];
  const add = (watch: Rule['watch'][number], expected?: Rule['expect']): void => {
    const name = `rule ${rules.length}`;
    rules.push({ name, watch: [watch], severity: 'alert', ...(expected === undefined ? {} : { expect: expected }) });
  };
  const github = 'https://token.actions.githubusercontent.com';
  const workflow = (i: number, part: string): TextMatch => ({ pattern: `https://github\\.com/acme/app${i}/${part}` });
  for (let i = 0; i < 35; i++)
    add({ identity: workflow(i, '.*') }, [{ identity: workflow(i, '.*@refs/tags/v[0-9.]+'), issuer: github }]);
  for (let i = 0; i < 14; i++) add({ identity: { pattern: `.*@team${i}\\.acme\\.com` } });
  for (let i = 0; i < 20; i++) add({ identity: `person${i}@acme.com` }, [{ issuer: 'https://accounts.google.com' }]);
  for (let i = 0; i < 20; i++) add({ extensions: { sourceRepositoryURI: `https://github.com/acme/app${i}` } });
  for (let i = 0; i < 5; i++) add({ key: `${i}`.repeat(64) });
  for (let i = 0; i < 5; i++) add({ digest: `${i}`.repeat(64) });
  add({ identity: { pattern: 'https://github\\.com/org[0-9]+/repo[0-9]*000/.*' } });
  return rules;
}

/** Bodies of keyless entries: a certificate of a GitHub workflow each, no two alike. 2.3 kB. */
export function keylessBodies(count: number, from = 0): Buffer[] {
  return Array.from({ length: count }, (_, at) => {
    const i = from + at;
    const run = githubRun(`org${i % 977}/repo${i}`, 'release.yml', `refs/tags/v1.${i % 50}.0`, i);
    return hashedRekord({ certificate: fulcioCertificate(run) }, `artifact ${i}`);
  });
}
