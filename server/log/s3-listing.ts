/**
 * One page of a list of S3 objects: the answer to ListObjectsV2
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html), read strictly.
 *
 * The names below a second place are digits and so need no reader of XML: a text that is not in the one form that S3 servers
 * write is refused as a whole.
 */
import { printable } from '../../merkle/printable.ts';
import { RECORD_NAME } from './second-place.ts';

interface ListingPage {
  /** In ascending order, without the prefix. */
  readonly names: readonly string[];
  /** There are more names after the last one. */
  readonly truncated: boolean;
}

const DOCUMENT = /^(?:<\?xml [^<>]*\?>)?\s*<ListBucketResult(?: [^<>]*)?>([\s\S]*)<\/ListBucketResult>\s*$/;
const CONTENTS = /<Contents>([\s\S]*?)<\/Contents>/g;

/**
 * @param prefix with the slash at its end
 * @param after the last name of the page before
 * @returns the page, or what is wrong with it, as the rest of a sentence
 */
export function parseListing(text: string, prefix: string, after = ''): ListingPage | string {
  const body = DOCUMENT.exec(text)?.[1];
  if (body === undefined || body.includes('<!')) return 'is no list of objects';
  const rest = body.replaceAll(CONTENTS, '');
  const truncated = only(rest, 'IsTruncated');
  if (
    only(rest, 'Prefix') !== prefix ||
    !/^(?:true|false)$/.test(truncated ?? '') ||
    /<(?:Contents|Key)\b/.test(rest)
  ) {
    return 'is no list of the objects that were asked for';
  }
  const names: string[] = [];
  for (const [, object] of body.matchAll(CONTENTS)) {
    const key = only(object!, 'Key');
    if (key === undefined || !key.startsWith(prefix)) return 'is no list of the objects that were asked for';
    const name = key.slice(prefix.length);
    // A "folder" that somebody made at a console.
    if (name === '') continue;
    if (!RECORD_NAME.test(name)) {
      return `names the object ${printable(key.slice(0, 200))}, which is no record: move it elsewhere`;
    }
    if (name <= (names.at(-1) ?? after)) return 'is not in order';
    names.push(name);
  }
  if (truncated === 'true' && names.length === 0) return 'says that there is more, and names nothing';
  return { names, truncated: truncated === 'true' };
}

/** The text of the only element of that name; undefined where there is none, or more than one. */
function only(xml: string, element: string): string | undefined {
  const found = [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))];
  return found.length === 1 ? found[0]![1] : undefined;
}
