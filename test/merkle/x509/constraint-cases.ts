/**
 * Name constraints and names to judge. A constraint or a name is written `kind:text`; `kind` is `uri`, `dns`, `email`, `ip`
 * (hex), `dir` (the common name of a directory name), `other` (an otherName of the type 1.2.3) or `id` (a registered ID).
 */
import { type Authority, der, issueCa, nameOf, oid, sequence, utf8 } from './make.ts';

export const NAMES = [
  'uri:https://example.com/x',
  'uri:https://EXAMPLE.com/x',
  'uri:https://www.example.com/x',
  'uri:https://a.b.example.com',
  'uri:https://notexample.com/',
  'uri:https://example.com.evil.org/',
  'uri:https://example.org/',
  'uri:https://example.com:8443/x',
  'uri:https://example.com:/x',
  'uri:https://example.com:80:90/',
  'uri:https://:443/',
  'uri:https://user@example.com/',
  'uri:https://user:p%40ss@example.com/',
  'uri:https://example.com@evil.org/',
  'uri:https://evil.org@example.com/',
  'uri:https://evil.org#@example.com/',
  'uri:https://evil.org/example.com',
  'uri:https://evil.org?x=example.com',
  'uri:https://example.com?x',
  'uri:https://example.com#x',
  'uri:https://example.com#%zz',
  'uri:https://example.com/%zz',
  'uri:https://example.com\\evil.org/',
  'uri:https://exa%6dple.com/',
  'uri:https://example%25.com/',
  'uri:https://xn--mller-kva.example.com/',
  'uri:https://example.com./',
  'uri:https://.example.com/',
  'uri:https://a..example.com/',
  'uri:https://*.example.com/',
  'uri:https://192.0.2.1/',
  'uri:https://192.0.2.1:8080/',
  'uri:https://192.0.02.1/',
  'uri:https://[2001:db8::1]/',
  'uri:https://[2001:db8::1]:443/',
  'uri:https://[example.com]/',
  'uri:https:///example.com/',
  'uri:https:/example.com/',
  'uri:https:example.com',
  'uri://example.com/x',
  'uri:///example.com/x',
  'uri:example.com/x',
  'uri:example.com:443/x',
  'uri:/x',
  'uri::x',
  'uri:',
  'uri:*',
  'uri:mailto:ann@example.com',
  'uri:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6',
  'uri:spiffe://example.com/ns/a',
  'uri:spiffe://Example.Com/ns/a',
  'uri:mongodb://example.org,example.com:1',
  'uri:mongodb://example.org:2,example.com:1',
  'uri:https://exa mple.com/',
  'uri:https://example.com/a b',
  'uri:https://example.com/\u007f',
  'uri:1https://example.com/',
  'uri:git+ssh://git@example.com/x',
  'dns:example.com',
  'dns:EXAMPLE.COM',
  'dns:www.example.com',
  'dns:notexample.com',
  'dns:example.org',
  'dns:*.example.com',
  'dns:*.www.example.com',
  'dns:*.com',
  'dns:*',
  'dns:*example.com',
  'dns:example.com.',
  'dns:.example.com',
  'dns:a..example.com',
  'dns:',
  'dns:192.0.2.1',
  'dns:xn--mller-kva.example.com',
  'dns:exa mple.com',
  'dns:example.com:443',
  'email:ann@example.com',
  'email:ann@EXAMPLE.com',
  'email:Ann@example.com',
  'email:bob@example.com',
  'email:ann@mail.example.com',
  'email:ann@notexample.com',
  'email:ann@example.org',
  'email:"ann"@example.com',
  'email:"a@b"@example.com',
  'email:"a b"@example.com',
  'email:"a\\"b"@example.com',
  'email:"ann@example.com',
  'email:an\\n@example.com',
  'email:ann\\@example.org@example.com',
  'email:ann@example.org@example.com',
  'email:ann@example.com@example.org',
  'email:.ann@example.com',
  'email:ann.@example.com',
  'email:a..n@example.com',
  'email:a.n@example.com',
  'email:ann+tag@example.com',
  'email:@example.com',
  'email:ann@',
  'email:ann',
  'email:example.com',
  'email:',
  'email:ann@example.com.',
  'email:ann@.example.com',
  'email:ann@[192.0.2.1]',
  'email:ann@*.example.com',
  'email:Ann <ann@example.com>',
  'email:ann @example.com',
  'ip:c0000201',
  'ip:c0000301',
  'ip:20010db8000000000000000000000001',
  'ip:20010db9000000000000000000000001',
  'ip:00000000000000000000ffffc0000201',
  'dir:ann',
  'other:ann',
  'id:1.2.3',
] as const;

export const SUBTREES = [
  'uri:example.com',
  'uri:.example.com',
  'uri:www.example.com',
  'uri:EXAMPLE.COM',
  'uri:com',
  'uri:',
  'uri:.',
  'uri:*.example.com',
  'uri:example.com.',
  'uri:example.com:443',
  'uri:https://example.com',
  'uri:192.0.2.1',
  'uri:2001:db8::1',
  'uri:[2001:db8::1]',
  'uri:a..example.com',
  'dns:example.com',
  'dns:.example.com',
  'dns:www.example.com',
  'dns:EXAMPLE.com',
  'dns:com',
  'dns:',
  'dns:.',
  'dns:*.example.com',
  'dns:example.com.',
  'dns:..example.com',
  'dns:192.0.2.1',
  'dns:exa mple.com',
  'email:example.com',
  'email:.example.com',
  'email:mail.example.com',
  'email:ann@example.com',
  'email:ann@EXAMPLE.com',
  'email:"ann"@example.com',
  'email:',
  'email:@example.com',
  'email:ann@',
  'email:ann@example.com.',
  'email:example.com.',
  'email:"a@b"@example.com',
  'ip:c0000200ffffff00',
  'ip:0000000000000000',
  'ip:c0000201ffffffff',
  'ip:c0000200ff00ff00',
  'ip:c0000200',
  'ip:20010db8000000000000000000000000ffffffff000000000000000000000000',
  `ip:${'00'.repeat(32)}`,
  'ip:',
  'dir:ann',
  'other:ann',
  'id:1.2.3',
] as const;

/** The sides on which each of `SUBTREES` is tried. */
export const SIDES = ['permitted', 'excluded'] as const;

export function generalName(text: string): Buffer {
  const [kind, value] = [text.slice(0, text.indexOf(':')), text.slice(text.indexOf(':') + 1)];
  switch (kind) {
    case 'email':
      return der(0x81, Buffer.from(value));
    case 'dns':
      return der(0x82, Buffer.from(value));
    case 'uri':
      return der(0x86, Buffer.from(value));
    case 'ip':
      return der(0x87, Buffer.from(value, 'hex'));
    case 'dir':
      return der(0xa4, nameOf(value));
    case 'id':
      return der(0x88, oid(value).subarray(2));
    default:
      return der(0xa0, oid('1.2.3'), der(0xa0, utf8(value)));
  }
}

/** The extension; critical unless said otherwise. */
export function nameConstraints(
  permitted: readonly string[],
  excluded: readonly string[] = [],
  critical = true,
): { oid: string; critical: boolean; value: Buffer } {
  const list = (tag: number, subtrees: readonly string[]) =>
    subtrees.length === 0 ? [] : [der(tag, ...subtrees.map((subtree) => sequence(generalName(subtree))))];
  return { oid: '2.5.29.30', critical, value: sequence(...list(0xa0, permitted), ...list(0xa1, excluded)) };
}

/** A root with name constraints. */
export const constrainedRoot = (...given: Parameters<typeof nameConstraints>): Authority =>
  issueCa('constrained', undefined, { extensions: [nameConstraints(...given)] });
