import { describe, expect, it } from 'vitest';
import { ClientError } from '../../../client/errors.ts';
import { parseTrustedRoot } from '../../../client/trust/trusted-root.ts';
import { Instance, type Json } from '../../support/instance.ts';

const instance = new Instance();
const bytesOf = (json: Json) => Buffer.from(JSON.stringify(json));
/** The trusted root of the instance after `change`. */
const changed = (change: (json: Json) => void) => {
  const json = instance.trustedRoot();
  change(json);
  return bytesOf(json);
};
const refusal = (file: Uint8Array): string => {
  try {
    parseTrustedRoot(file);
  } catch (error) {
    if (error instanceof ClientError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return 'accepted';
};

describe('the operator of a log or an authority', () => {
  it('is read; the empty text is none', () => {
    const root = parseTrustedRoot(
      changed((json) => {
        json.tlogs[0].operator = 'sigstore.dev';
        json.tlogs[1].operator = '';
        json.timestampAuthorities[0].operator = 'time.example';
      }),
    );
    expect(root.tlogs.map(({ operator }) => operator)).toEqual(['sigstore.dev', undefined]);
    expect(root.timestampAuthorities[0]!.operator).toBe('time.example');
    expect(root.certificateAuthorities[0]).not.toHaveProperty('operator');
  });

  it('is text', () => {
    const file = changed((json) => {
      json.timestampAuthorities[0].operator = 7;
    });
    expect(refusal(file)).toMatch(/^trusted-root: .*timestampAuthorities\[0\]\.operator is not text/);
  });
});
