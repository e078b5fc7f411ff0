/** Types of predicates of in-toto statements. */

/** Short names of predicate types, with the URI of each. What cosign 3 names too means the same here. */
export const PREDICATE_TYPES: ReadonlyMap<string, string> = new Map([
  ['slsaprovenance', 'https://slsa.dev/provenance/v0.2'],
  ['slsaprovenance02', 'https://slsa.dev/provenance/v0.2'],
  ['slsaprovenance1', 'https://slsa.dev/provenance/v1'],
  ['spdx', 'https://spdx.dev/Document'],
  ['spdxjson', 'https://spdx.dev/Document'],
  ['cyclonedx', 'https://cyclonedx.org/bom'],
  ['link', 'https://in-toto.io/Link/v1'],
  ['vuln', 'https://cosign.sigstore.dev/attestation/vuln/v1'],
  ['openvex', 'https://openvex.dev/ns'],
  ['custom', 'https://cosign.sigstore.dev/attestation/v1'],
  ['vsa', 'https://slsa.dev/verification_summary/v1'],
  ['scai', 'https://in-toto.io/attestation/scai/v0.3'],
  ['test-result', 'https://in-toto.io/attestation/test-result/v0.1'],
  ['vulns', 'https://in-toto.io/attestation/vulns/v0.2'],
  ['release', 'https://in-toto.io/attestation/release/v0.1'],
  ['spdx3', 'https://spdx.dev/Document/v3'],
  ['link03', 'https://in-toto.io/attestation/link/v0.3'],
]);

export function isTypeUri(text: string): boolean {
  // A scheme and something after it (RFC 3986 section 3), in visible ASCII.
  return text.length <= 1000 && /^[A-Za-z][A-Za-z0-9+.-]*:[!-~]+$/.test(text);
}
