/** The address of a TUF repository. */
import { usage } from '../../errors.ts';

/** The URL with a slash at its end. @throws ClientError `usage` */
export function parseMirrorUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw usage('the repository is an http or https URL, such as https://log.example.com/trust/');
  }
  // The message does not repeat the URL: people put tokens into URLs.
  if (url.username + url.password + url.search + url.hash !== '') {
    throw usage('the URL of a repository has no user name, query and fragment');
  }
  return url.href.replace(/\/*$/, '/');
}
