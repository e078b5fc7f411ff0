/** The address of a log, or of an index of logs. */
import { printable } from '../../merkle/printable.ts';
import { usage } from '../errors.ts';

/**
 * The base URL of a service: http or https, without credentials, query and fragment. It has no slash at its end.
 *
 * @throws ClientError `usage`
 */
export function parseLogUrl(text: string, what: 'a log' | 'an index' = 'a log'): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw usage(
      `"${printable(text)}" is not the URL of ${what}; it looks like https://${what === 'a log' ? 'log' : 'index'}.example.com`,
    );
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw usage(`the URL of ${what} has no user name, password, query or fragment: leave them out`);
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
