/** The closed list of built-in checks. A rule asks for each by its name. */
import type { CheckKind } from './types.ts';

export const CHECKS: readonly CheckKind[] = [];
