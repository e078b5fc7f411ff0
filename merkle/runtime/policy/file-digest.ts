import { createHash } from 'node:crypto';

/** `sha256:HEX` over the bytes of a file. Decisions name policies, layouts and links by it. */
export function digestOfFile(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
