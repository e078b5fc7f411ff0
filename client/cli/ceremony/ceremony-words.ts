/** Words of a ceremony that people say, hear and compare. */
import { tufTime } from '../../trust/tuf/metadata-fields.ts';

/** Hex in groups of four digits, as it is read aloud. */
export function grouped(hex: string): string {
  return hex.match(/.{1,4}/g)?.join(' ') ?? '';
}

/** Now, to the second, by the clock of this machine: `YYYY-MM-DDTHH:MM:SSZ`. */
export function timeNow(): string {
  return tufTime(Date.now());
}
