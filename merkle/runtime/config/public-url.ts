/** `publicUrl`: the address of a service as others reach it, which the service itself cannot know. */
import { Type } from 'typebox';
import { isLoopback, isTrialName } from '../../loopback.ts';
import type { About } from './values.ts';

/** An address without a slash at its end. */
export function publicUrl(about: About) {
  const text = Type.String({
    ...about,
    kind: 'text',
    maxLength: 2048,
    allowed: 'an https or http URL without user name, query and fragment, such as https://log.example.com',
  });
  const checked = Type.Refine(text, (value) => parsePublicUrl(value) !== undefined);
  return Type.Codec(checked)
    .Decode((value) => parsePublicUrl(value)!)
    .Encode((value) => value);
}

/** The address without a slash at its end; undefined where the text is no such address. */
export function parsePublicUrl(text: string): string | undefined {
  // URL.canParse takes what people do not mean: spaces around it, and `https:host` without slashes.
  if (!/^https?:\/\/[^\s?#@\\]+$/i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
}

/**
 * Others read the address and the name: `localhost` in one of them alone is a mistake, which `problems` gets.
 *
 * @param setting of the name, and the name where it is configured
 */
export function checkPublicUrl(
  url: string | undefined,
  [setting, name]: readonly [setting: string, name: string | undefined],
  problems: string[],
): void {
  if (url === undefined || name === undefined || isLoopback(url) === isTrialName(name)) return;
  problems.push(
    isLoopback(url)
      ? `"publicUrl" is ${url}, which is another machine for everybody who reads it: set the address that others use, or leave it out`
      : `"${setting}" is ${name}, and "publicUrl" ${url}: set the name by which others know it (a service that has begun with this name needs no "${setting}")`,
  );
}
