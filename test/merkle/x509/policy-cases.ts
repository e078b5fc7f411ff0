/** Extensions of RFC 5280 sections 4.2.1.4, 4.2.1.5, 4.2.1.11 and 4.2.1.14 to order. */
import { der, type Extension, integer, oid, sequence } from './make.ts';

export const ANY_POLICY = '2.5.29.32.0';

export interface PolicyWish {
  readonly policies?: readonly string[];
  /** Pairs of the issuer's and the subject's policy. */
  readonly mappings?: readonly (readonly [string, string])[];
  readonly requireExplicit?: number;
  readonly inhibitMapping?: number;
  readonly inhibitAny?: number;
}

export function policyExtensions(wish: PolicyWish): Extension[] {
  const { policies, mappings, requireExplicit, inhibitMapping, inhibitAny } = wish;
  const list: Extension[] = [];
  if (policies !== undefined) {
    list.push({ oid: '2.5.29.32', value: sequence(...policies.map((policy) => sequence(oid(policy)))) });
  }
  if (mappings !== undefined) {
    const pairs = mappings.map(([from, to]) => sequence(oid(from), oid(to)));
    list.push({ oid: '2.5.29.33', critical: true, value: sequence(...pairs) });
  }
  if (requireExplicit !== undefined || inhibitMapping !== undefined) {
    const numbers = [requireExplicit, inhibitMapping].flatMap((number, tag) =>
      number === undefined ? [] : [der(0x80 + tag, Buffer.from([number]))],
    );
    list.push({ oid: '2.5.29.36', critical: true, value: sequence(...numbers) });
  }
  if (inhibitAny !== undefined) list.push({ oid: '2.5.29.54', critical: true, value: integer(inhibitAny) });
  return list;
}
