/** The name and the extensions of a leaf, from a caller whose identity is proven. */

import { MerkleError } from '../../merkle/errors.ts';
import type { Caller } from '../../merkle/runtime/identity/types.ts';
import { parseSpiffeId } from '../../merkle/spiffe/spiffe-id.ts';
import { FULCIO_EXTENSIONS } from '../../merkle/x509/fulcio.ts';
import { hostOfUri, mailboxOf } from '../../merkle/x509/name-forms.ts';
import { CaError } from './ca-errors.ts';
import { ClaimProblem, type ClaimTemplate, fillTemplate } from './claim-template.ts';
import type { IssuerRule, LeafIdentity, LeafName } from './types.ts';

/** Longest name, and longest text of an extension, in bytes. */
const MAX_NAME = 2048;
const MAX_TEXT = 2048;
/** All extensions together: readers take certificates of 16 KiB. */
const MAX_TEXTS = 8192;
/** RFC 3986 section 2, without the brackets of IP addresses. */
const URI = /^[a-z][a-z0-9+.-]*:\/\/(?:[A-Za-z0-9._~!$&'()*+,;=:@/?#-]|%[0-9A-Fa-f]{2})+$/;
const PLAIN_EMAIL = /^[!-~]+$/;

/**
 * What the leaf of a workload says. Its issuer is the trust domain, whose keys proved the identity: an X.509-SVID names no
 * other, and nobody vouches for the `iss` of a JWT-SVID.
 */
export function svidIdentity({ spiffeId }: Caller): LeafIdentity {
  const { text, trustDomain } = spiffeId!;
  return { name: { type: 'uri', value: text }, extensions: withIssuer(`spiffe://${trustDomain}`, []) };
}

/** What the leaf of a token's subject says. @throws CaError `name`, `email` */
export function tokenIdentity(caller: Caller, rule: IssuerRule): LeafIdentity {
  const texts: [string, string][] = [];
  for (const [oid, template] of rule.extensions) {
    const text = filled(template, caller);
    if (text === undefined) continue;
    checkText(text, oid);
    texts.push([oid, text]);
  }
  if (texts.reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0) > MAX_TEXTS) {
    throw new CaError('name', `the claims for the extensions have more than ${MAX_TEXTS} bytes together`);
  }
  return { name: nameOf(caller, rule), extensions: withIssuer(rule.issuer, texts) };
}

/** Fulcio writes the issuer twice: as raw text (deprecated) and as a UTF8String. */
function withIssuer(issuer: string, texts: readonly [string, string][]): Map<string, string> {
  const { issuerV1, issuer: issuerV2 } = FULCIO_EXTENSIONS as { issuerV1: string; issuer: string };
  const all: [string, string][] = [[issuerV1, issuer], [issuerV2, issuer], ...texts];
  return new Map(all.sort(([a], [b]) => lastNumber(a) - lastNumber(b)));
}

function lastNumber(oid: string): number {
  return Number(oid.slice(oid.lastIndexOf('.') + 1));
}

function nameOf(caller: Caller, { name }: IssuerRule): LeafName {
  if (name === 'email') {
    const { email } = caller;
    if (email === undefined) throw new CaError('email', 'the token has no e-mail address that its issuer has verified');
    if (!PLAIN_EMAIL.test(email) || email.length > MAX_NAME || mailboxOf(email) === undefined) {
      throw new CaError('name', 'the e-mail address of the token is not one that a certificate can hold');
    }
    return { type: 'email', value: email };
  }
  if (name === 'spiffe') return { type: 'uri', value: spiffeIdOf(caller) };
  const uri = filled(name, caller);
  if (uri === undefined) throw new CaError('name', 'the token lacks a claim that its name is made of');
  checkUri(uri);
  return { type: 'uri', value: uri };
}

function spiffeIdOf({ subject = '' }: Caller): string {
  try {
    const { text, path } = parseSpiffeId(subject);
    if (path !== '') return text;
  } catch (cause) {
    if (!(cause instanceof MerkleError)) throw cause;
    throw new CaError('name', `the subject of the token is not a SPIFFE ID: ${cause.message}`, {}, { cause });
  }
  // X509-SVID section 3.1.1: a leaf has the ID of a workload.
  throw new CaError('name', 'the subject of the token is a trust domain, and not a workload in it');
}

/** A claim must not lead out of the path that the template gives it, and each reader must read the same URI. */
function checkUri(uri: string): void {
  if (uri.length > MAX_NAME) throw new CaError('name', `the name is longer than ${MAX_NAME} characters`);
  if (!URI.test(uri)) {
    throw new CaError(
      'name',
      'a claim of the token has characters that no URI has, so that it cannot stand in the name',
    );
  }
  const host = hostOfUri(uri);
  if (host === undefined || host === '')
    throw new CaError('name', 'the name that the token gives is no URI with a host');
  const [, rest = ''] = /^[^:]+:\/\/[^/?#]*(.*)$/.exec(uri) ?? [];
  const path = rest.split(/[?#]/)[0]!;
  if (path.split('/').some((part) => /^(?:\.|%2e){1,2}$/i.test(part))) {
    throw new CaError('name', 'the name that the token gives leads to another path: it has "." or ".." as a part');
  }
}

function checkText(text: string, oid: string): void {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are what no extension may have
  const bad = /[\0-\x1f\x7f]/.test(text) || !text.isWellFormed();
  if (bad || Buffer.byteLength(text) > MAX_TEXT) {
    throw new CaError(
      'name',
      `the text of the extension ${oid} is longer than ${MAX_TEXT} bytes, or has control characters`,
    );
  }
}

function filled(template: ClaimTemplate, { claims = {} }: Caller): string | undefined {
  try {
    return fillTemplate(template, claims);
  } catch (cause) {
    if (!(cause instanceof ClaimProblem)) throw cause;
    throw new CaError('name', `the token cannot be certified: ${cause.message}`, {}, { cause });
  }
}
