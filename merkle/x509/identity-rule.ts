/**
 * Rules for the identity in a certificate, without the engine for patterns: loading RE2 takes longer than a whole
 * verification, and most rules have no pattern.
 */
import { MerkleError } from '../errors.ts';
import { printable } from '../printable.ts';
import { parseSpiffeId, type SpiffeId } from '../spiffe/spiffe-id.ts';
import { compileSpiffeIdPattern } from '../spiffe/spiffe-id-pattern.ts';
import type { AlternativeName } from './certificate-names.ts';
import { type CertificateIdentity, FULCIO_EXTENSIONS } from './fulcio.ts';
import { isSignerName } from './signer-names.ts';

/** Exact text, or an RE2 pattern that must match the whole text. */
export type TextRule = string | { readonly pattern: string };

/** Everything that is given must hold. At least one must be given. */
export interface IdentityRule {
  /**
   * One of the subject alternative names: a URI (or SPIFFE ID), e-mail, DNS name, or Fulcio's user name. A text such as
   * `spiffe://example.org/build/**` is a pattern of SPIFFE IDs (spiffe/spiffe-id-pattern.ts), as no SPIFFE ID has a star.
   */
  readonly identity?: TextRule;
  /** The identity provider. */
  readonly issuer?: TextRule;
  /** Fulcio's extensions by name (`FULCIO_EXTENSIONS`) or OID. The certificate must have each with exactly this text. */
  readonly extensions?: Readonly<Record<string, string>>;
}

const OID = /^[0-2](?:\.(?:0|[1-9][0-9]*))+$/;

/** What the rule found in a certificate. */
interface IdentityMatch {
  /** The name that is the expected one; absent if the rule asks for no name. */
  readonly name?: AlternativeName;
}

/** Undefined if a certificate's identity is not the expected one. */
export type IdentityTest = (identity: CertificateIdentity) => IdentityMatch | undefined;

/** Compiles a pattern to a test of the whole text. Messages call the pattern `what`. @throws MerkleError `bad-rule` */
type PatternCompiler = (pattern: string, what: string) => (text: string) => boolean;

/** @throws MerkleError `bad-rule`: an empty rule, an extension that is neither a name nor an OID; and as `compilePattern` */
export function compileWith(rule: IdentityRule, compilePattern: PatternCompiler): IdentityTest {
  const identity = compileName(rule.identity, compilePattern);
  const issuer = compileText(rule.issuer, 'issuer', compilePattern);
  const extensions = Object.entries(rule.extensions ?? {});
  for (const [key] of extensions) {
    if (!Object.hasOwn(FULCIO_EXTENSIONS, key) && !OID.test(key)) {
      throw badRule(
        `there is no extension "${printable(key)}": give an OID, or one of ${Object.keys(FULCIO_EXTENSIONS).join(', ')}`,
      );
    }
  }
  if (identity === undefined && issuer === undefined && extensions.length === 0) {
    throw badRule('an empty rule would take every certificate: give an identity');
  }
  return (found) => {
    const name = identity && found.names.find((one) => isSignerName(one) && identity(one));
    const isExpected =
      (identity === undefined || name !== undefined) &&
      (issuer === undefined || (found.issuer !== undefined && issuer(found.issuer))) &&
      extensions.every(([key, value]) => found.extensions.get(key) === value);
    if (!isExpected) return undefined;
    return name === undefined ? {} : { name };
  };
}

/**
 * Compiles a pattern of SPIFFE IDs to the test whether the SPIFFE bundle of its trust domain vouches for such an ID. A name in
 * a certificate of another authority does not count.
 *
 * @throws MerkleError `bad-rule`
 */
export function compileSvidRule(pattern: string): IdentityTest {
  const fits = compileSpiffeIdPattern(pattern);
  return ({ svid }) => (svid !== undefined && fits(svid) ? { name: { type: 'uri', value: svid.text } } : undefined);
}

export function hasPattern({ identity, issuer }: IdentityRule): boolean {
  return typeof identity === 'object' || typeof issuer === 'object';
}

/** Compiles a rule without a pattern. @throws MerkleError `bad-rule` */
export function compileExact(rule: IdentityRule): IdentityTest {
  return compileWith(rule, (_, what) => {
    throw badRule(`the expected ${what} is a pattern, and this command needs exact text`);
  });
}

/** The error of a rule that cannot be used. */
export function badRule(message: string, cause?: unknown): MerkleError {
  return new MerkleError('bad-rule', message, { cause });
}

function compileName(
  rule: TextRule | undefined,
  compilePattern: PatternCompiler,
): ((name: AlternativeName) => boolean) | undefined {
  if (typeof rule === 'string' && rule.startsWith('spiffe://') && rule.includes('*')) {
    const fits = compileSpiffeIdPattern(rule);
    return ({ type, value }) => {
      const id = type === 'uri' ? spiffeIdOf(value) : undefined;
      return id !== undefined && fits(id);
    };
  }
  const matches = compileText(rule, 'identity', compilePattern);
  return matches && (({ value }) => matches(value));
}

function spiffeIdOf(uri: string): SpiffeId | undefined {
  try {
    return parseSpiffeId(uri);
  } catch (error) {
    if (error instanceof MerkleError) return undefined;
    throw error;
  }
}

function compileText(
  rule: TextRule | undefined,
  what: string,
  compilePattern: PatternCompiler,
): ((text: string) => boolean) | undefined {
  if (rule === undefined) return undefined;
  if (typeof rule === 'object') return compilePattern(rule.pattern, what);
  if (rule === '') throw badRule(`the expected ${what} is empty`);
  return (text) => text === rule;
}
