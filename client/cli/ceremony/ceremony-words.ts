/** Words of a ceremony that people say, hear and compare. */
import { timeText } from '../../../merkle/x509/utc-time.ts';

/** Hex in groups of four digits, as it is read aloud. */
export function grouped(hex: string): string {
  return hex.match(/.{1,4}/g)?.join(' ') ?? '';
}

/** Now, to the second, by the clock of this machine: `YYYY-MM-DDTHH:MM:SSZ`. */
export function timeNow(): string {
  return timeText(Date.now()).replace(/\.\d+Z$/, 'Z');
}
