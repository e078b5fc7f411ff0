/** The address of a log. */
import { printable } from '../../merkle/printable.ts';
import { usage } from '../errors.ts';

/**
 * The base URL of a log: http or https, without credentials, query and fragment. It has no slash at its end.
 *
 * @throws ClientError `usage`
 */
export function parseLogUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw usage(`"${printable(text)}" is not the URL of a log; it looks like https://log.example.com`);
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw usage('the URL of a log has no user name, password, query or fragment: leave them out');
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}
