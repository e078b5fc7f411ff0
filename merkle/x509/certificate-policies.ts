/**
 * Certificate policies along a path: RFC 5280 section 6.1, as updated by RFC 9618, with `any-policy` as the user's initial
 * policy set and without initial flags.
 *
 * So every policy is good, and a path fails only where an authority requires an explicit policy and no policy holds from
 * the root to the leaf. For that question the policies at the end of the path so far are enough, and the graph of RFC 9618
 * above them is not kept: a node without children would only be pruned.
 *
 *   certificatePolicies: SEQUENCE OF SEQUENCE { OID, qualifiers OPTIONAL }
 *   policyMappings:      SEQUENCE OF SEQUENCE { OID of the issuer's domain, OID of the subject's domain }
 *   policyConstraints:   SEQUENCE { [0] requireExplicitPolicy OPTIONAL, [1] inhibitPolicyMapping OPTIONAL }
 *   inhibitAnyPolicy:    INTEGER        each number counts certificates that may follow
 */
import { type Certificate, EXTENSION, isSelfIssued } from './certificate.ts';
import { badDer, type Der, parseDer, primitive, TAG } from './der.ts';
import { countOf, expectTag, fieldsOf, oidOf, shownOid } from './der-fields.ts';

const WHAT = "the certificate's list of policies";
const ANY_POLICY = '2.5.29.32.0';
const RESTRICTING = [EXTENSION.policyMappings, EXTENSION.policyConstraints, EXTENSION.inhibitAnyPolicy] as const;

/**
 * Why the policies of a path do not hold; undefined if they do.
 * @param path leaf, intermediates, root. Of the root, the constraints count, and not the policies: as a trust anchor it may
 * certify under every policy (RFC 5937 section 3).
 * @throws MerkleError `bad-der` for malformed extensions
 */
export function brokenPolicy(path: readonly Certificate[]): string | undefined {
  if (!path.some(({ extensions }) => RESTRICTING.some((oid) => extensions.has(oid)))) return undefined;
  /** The names of section 6.1.2. Zero means that the rule applies to the next certificate. */
  const left = { explicitPolicy: path.length, policyMapping: path.length, inhibitAnyPolicy: path.length };
  const constrain = (certificate: Certificate): void => {
    const { requireExplicitPolicy, inhibitPolicyMapping } = constraintsOf(certificate);
    left.explicitPolicy = Math.min(left.explicitPolicy, requireExplicitPolicy ?? left.explicitPolicy);
    left.policyMapping = Math.min(left.policyMapping, inhibitPolicyMapping ?? left.policyMapping);
    left.inhibitAnyPolicy = Math.min(left.inhibitAnyPolicy, inhibitAnyPolicyOf(certificate) ?? left.inhibitAnyPolicy);
  };
  const [root, ...below] = path.toReversed() as [Certificate, ...Certificate[]];
  constrain(root);

  /** The valid policies at the current depth. Each has the policies that the next certificate may name for it. */
  let valid: Policies = new Map([[ANY_POLICY, [ANY_POLICY]]]);
  for (const [at, certificate] of below.entries()) {
    const isLeaf = at === below.length - 1;
    const mayHaveAny = left.inhibitAnyPolicy > 0 || (!isLeaf && isSelfIssued(certificate));
    valid = nextPolicies(valid, policiesOf(certificate), mayHaveAny);
    if (valid.size === 0 && left.explicitPolicy === 0) return NO_POLICY;
    if (isLeaf) break;
    for (const [from, to] of mappingsOf(certificate)) {
      if (from === ANY_POLICY || to.includes(ANY_POLICY))
        return 'has an authority that maps every policy to another one';
      if (left.policyMapping === 0) valid.delete(from);
      else if (valid.has(from) || valid.has(ANY_POLICY)) valid.set(from, to);
    }
    if (!isSelfIssued(certificate)) {
      left.explicitPolicy = Math.max(0, left.explicitPolicy - 1);
      left.policyMapping = Math.max(0, left.policyMapping - 1);
      left.inhibitAnyPolicy = Math.max(0, left.inhibitAnyPolicy - 1);
    }
    constrain(certificate);
  }
  // Section 6.1.5 (a) and (b): after the leaf, one certificate fewer may follow, and the leaf may require a policy itself.
  const isRequired = left.explicitPolicy <= 1 || constraintsOf(path[0]!).requireExplicitPolicy === 0;
  return isRequired && valid.size === 0 ? NO_POLICY : undefined;
}

type Policies = Map<string, readonly string[]>;

const NO_POLICY = 'has an authority that requires a certificate policy, and no policy holds for the whole path';

/** Section 6.1.3 (d) of RFC 9618. `named` is empty for a certificate without the extension, as in (e). */
function nextPolicies(valid: Policies, named: ReadonlySet<string>, mayHaveAny: boolean): Policies {
  const expected = new Set([...valid.values()].flat());
  const policies = [...named].filter(
    (policy) => policy !== ANY_POLICY && (expected.has(policy) || valid.has(ANY_POLICY)),
  );
  if (named.has(ANY_POLICY) && mayHaveAny) policies.push(...expected);
  return new Map(policies.map((policy) => [policy, [policy]]));
}

function read<T>(certificate: Certificate, oid: string, reader: (node: Der) => T): T | undefined {
  const extension = certificate.extension(oid);
  return extension && reader(parseDer(extension.value, WHAT));
}

function policiesOf(certificate: Certificate): ReadonlySet<string> {
  const found = new Set<string>();
  const list = read(certificate, EXTENSION.certificatePolicies, (node) => listOf(node)) ?? [];
  for (const policy of list) {
    const oid = oidOf(expectTag(policy, TAG.sequence, WHAT).children[0] ?? policy, WHAT);
    if (found.has(oid)) throw badDer(WHAT, `has the policy ${shownOid(oid)} twice`);
    found.add(oid);
  }
  return found;
}

/** The policies of the subject's domain for each policy of the issuer's. */
function mappingsOf(certificate: Certificate): Policies {
  const mappings = new Map<string, string[]>();
  for (const mapping of read(certificate, EXTENSION.policyMappings, (node) => listOf(node)) ?? []) {
    const fields = fieldsOf(expectTag(mapping, TAG.sequence, WHAT), WHAT);
    const [from, to] = [oidOf(fields.any(), WHAT), oidOf(fields.any(), WHAT)];
    fields.end();
    const others = mappings.get(from) ?? [];
    others.push(to);
    mappings.set(from, others);
  }
  return mappings;
}

interface PolicyConstraints {
  readonly requireExplicitPolicy?: number | undefined;
  readonly inhibitPolicyMapping?: number | undefined;
}

function constraintsOf(certificate: Certificate): PolicyConstraints {
  return (
    read(certificate, EXTENSION.policyConstraints, (node) => {
      const fields = fieldsOf(expectTag(node, TAG.sequence, WHAT), WHAT);
      const [explicit, mapping] = [fields.optional(primitive(0)), fields.optional(primitive(1))];
      fields.end();
      if (explicit === undefined && mapping === undefined) throw badDer(WHAT, 'has constraints that constrain nothing');
      return {
        requireExplicitPolicy: explicit && countOf(explicit.content, WHAT),
        inhibitPolicyMapping: mapping && countOf(mapping.content, WHAT),
      };
    }) ?? {}
  );
}

function inhibitAnyPolicyOf(certificate: Certificate): number | undefined {
  return read(certificate, EXTENSION.inhibitAnyPolicy, (node) =>
    countOf(expectTag(node, TAG.integer, WHAT).content, WHAT),
  );
}

/** The elements of a SEQUENCE that has at least one. */
function listOf(node: Der): readonly Der[] {
  const { children } = expectTag(node, TAG.sequence, WHAT);
  if (children.length === 0) throw badDer(WHAT, 'is empty');
  return children;
}
