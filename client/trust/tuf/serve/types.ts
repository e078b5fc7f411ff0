import type { RoleStatus } from '../repository-status.ts';

/** A role as it is published. */
export type ServedRole = NonNullable<RoleStatus['published']> & { readonly name: string };
