/** Access policies and callers for tests. The callers are as an identifier gives them. */
import type { Caller } from '../../merkle/runtime/identity/types.ts';
import { loadAccessPolicy } from '../../merkle/runtime/policy/access/load-access.ts';
import type { AccessPolicy } from '../../merkle/runtime/policy/access/types.ts';

export const JUDGED_AT = Date.UTC(2026, 7, 1);

export function accessPolicyOf(text: string): Promise<AccessPolicy> {
  return loadAccessPolicy(new TextEncoder().encode(text), { file: 'access.yaml' });
}

/** A policy with one caller `ci`, every workload below `/build` of example.org, and one rule with these further lines. */
export function oneAccessRule(lines = '', calls = '[write]'): string {
  const rule =
    lines === ''
      ? ''
      : `${lines
          .split('\n')
          .map((line) => `    ${line}`)
          .join('\n')}\n`;
  return `version: 1
name: test
callers:
  ci: { spiffeId: 'spiffe://example.org/build/**' }
allow:
  - name: builders
    callers: [ci]
    calls: ${calls}
${rule}`;
}

export function workload(path: string, trustDomain = 'example.org', more: Partial<Caller> = {}): Caller {
  const text = `spiffe://${trustDomain}${path}`;
  return {
    kind: 'x509-svid',
    id: text,
    spiffeId: { text, trustDomain, path },
    names: [{ type: 'uri', value: text }],
    expires: JUDGED_AT + 3_600_000,
    ...more,
  };
}

export function certificateCaller(names: Caller['names'], more: Partial<Caller> = {}): Caller {
  return { kind: 'certificate', id: names.map(({ value }) => value).join(' '), names, expires: JUDGED_AT + 1, ...more };
}

export function tokenCaller(issuer: string, subject: string, more: Partial<Caller> = {}): Caller {
  const expires = JUDGED_AT + 60_000;
  return { kind: 'id-token', id: `${issuer} ${subject}`, issuer, subject, names: [], claims: {}, expires, ...more };
}
