/**
 * How many different parties stand behind the evidence of a bundle. A second proof by the same operator, by the same key, or by
 * an authority that shares a certificate with the first adds nothing to a threshold.
 */
import { encodeHex } from '../../merkle/bytes.ts';
import type { Certificate } from '../../merkle/x509/certificate.ts';
import type { LogKey } from '../trust/log-key.ts';
import type { TrustedAuthority, TrustedRoot } from '../trust/trusted-root.ts';

/** The number of different operators of the logs with these keys. */
export function countLogs(keys: readonly LogKey[], root: TrustedRoot | undefined): number {
  const known = (root?.tlogs ?? []).map(({ key, operator }) => [keyName(key.spki), ...operatorName(operator)]);
  return countParties(
    keys.map(({ spki, label }) => [spki === undefined ? label : keyName(spki)]),
    known,
  );
}

/** A time stamp's authority, and the certificate that signed. */
export interface Stamper {
  readonly authority: TrustedAuthority;
  readonly certificate: Certificate;
}

/** The number of different operators of these authorities. */
export function countAuthorities(stampers: readonly Stamper[], root: TrustedRoot | undefined): number {
  const namesOf = ({ certificates, operator }: TrustedAuthority) => [
    ...certificates.map(({ spki }) => keyName(spki)),
    ...operatorName(operator),
  ];
  return countParties(
    stampers.map(({ authority, certificate }) => [keyName(certificate.spki), ...namesOf(authority)]),
    (root?.timestampAuthorities ?? []).map(namesOf),
  );
}

/**
 * The number of different parties with these names. Two are one party if they share a name, or if both share a name with the
 * same third, such as another key of one operator.
 *
 * @param known names that belong together
 */
function countParties(evidence: readonly (readonly string[])[], known: readonly (readonly string[])[]): number {
  const parties: { readonly names: Set<string>; readonly counts: boolean }[] = [];
  const add = (names: readonly string[], counts: boolean) => {
    const same = parties.filter((party) => names.some((name) => party.names.has(name)));
    for (const party of same) parties.splice(parties.indexOf(party), 1);
    parties.push({
      names: new Set([...names, ...same.flatMap((party) => [...party.names])]),
      counts: counts || same.some((party) => party.counts),
    });
  };
  for (const names of known) add(names, false);
  for (const names of evidence) add(names, true);
  return parties.filter(({ counts }) => counts).length;
}

function keyName(spki: Uint8Array): string {
  return `key ${encodeHex(spki)}`;
}

function operatorName(operator: string | undefined): string[] {
  return operator === undefined ? [] : [`operator ${operator}`];
}
