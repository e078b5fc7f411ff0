/** Where a service is: what its start prints for its operator, and for others. */
import { isLoopback, isTrialName } from '../../merkle/loopback.ts';
import { warn } from './report.ts';

interface Place {
  /** Where it listens. */
  readonly url: string;
  /** Where others reach it, if that is configured. */
  readonly publicUrl: string | undefined;
}

/** The end of "The log …": where it is. */
export function placeOf({ url, publicUrl }: Place): string {
  return publicUrl === undefined ? `listens on ${url}` : `is at ${publicUrl}, and listens on ${url}`;
}

/** Others cannot use an address of this machine alone. A service that is called localhost is only tried. */
export function warnUnknownUrl(what: 'log' | 'witness', name: string, { url, publicUrl }: Place): void {
  if (publicUrl !== undefined || !isLoopback(url) || isTrialName(name)) return;
  warn(
    `\`publicUrl\` is not set: ${url} is this ${what} on this machine alone, and others cannot use it. Set the address by which ` +
      'they reach it, such as https://log.example.com (`publicUrl` in the configuration, --public-url)',
  );
}
