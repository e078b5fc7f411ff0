/**
 * Names of container images, read as container engines and Kubernetes read them: `ParseNormalizedNamed` of
 * github.com/distribution/reference 0.6. So evidence is looked up in the registry that the image comes from.
 *
 *     name [":" tag] ["@" digest]      name: [domain "/"] path
 *
 * The part before the first slash is a domain if it is `localhost`, holds a dot, a colon or a capital letter. Everything else
 * belongs to Docker Hub (`docker.io`), whose images of one part lie below `library/`.
 *
 * Stricter than the library in two points. A name has at most 1,024 characters, also where its domain is the long part. And
 * a first part that looks like a domain and is none (`a_b.example.com/app`) is refused, where the library returns a name
 * without any domain.
 */
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';

/** In the normalized form: `docker.io` and `library/` stand there even if they are implied. */
export interface ImageName {
  /** Host with an optional port, spelled as in the name: `registry.example.com:5000`, `[::1]:5000`, `Registry`. */
  readonly domain: string;
  /** At most 255 characters: `team/app`. */
  readonly path: string;
  readonly tag?: string;
  /** `sha256:HEX`, `sha384:HEX` or `sha512:HEX`, in lower-case hex. */
  readonly digest?: string;
}

const HUB = 'docker.io';
const HUB_LEGACY = 'index.docker.io';
const HUB_REGISTRY = 'registry-1.docker.io';
const OFFICIAL = 'library/';
const MAX_NAME = 1024;
const MAX_PATH = 255;

const ALPHANUMERIC = '[a-z0-9]+';
const COMPONENT = `${ALPHANUMERIC}(?:(?:[._]|__|-+)${ALPHANUMERIC})*`;
const LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const DOMAIN = new RegExp(`^(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
const REST = new RegExp(`^(${COMPONENT}(?:/${COMPONENT})*)(?::(\\w[\\w.-]{0,127}))?(?:@([A-Za-z][\\w+.:-]*))?$`);
const IDENTIFIER = /^[a-f0-9]{64}$/;
const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$/;

/** @throws ClientError `usage`: no engine reads the text as an image, or not all engines read it as the same one */
export function parseImageName(text: string): ImageName {
  if (text === '') throw malformedName(text, 'it is empty');
  if (text.length > MAX_NAME) throw malformedName(text, `it has more than ${MAX_NAME} characters`);
  if (IDENTIFIER.test(text)) {
    throw malformedName(text, 'a name of 64 hexadecimal digits would be taken for the identifier of an image');
  }
  const { domain, rest } = split(text);
  const [, path, tag, digest] = REST.exec(rest) ?? [];
  if (path === undefined) throw malformedName(text, whyRefused(rest));
  if (!DOMAIN.test(domain)) throw malformedName(text, `"${printable(domain)}" is no host of a registry`);
  if (path.length > MAX_PATH) throw malformedName(text, `its path has more than ${MAX_PATH} characters`);
  if (digest !== undefined && !isImageDigest(digest)) {
    throw malformedName(text, 'its digest is not sha256, sha384 or sha512 with all digits in lower case');
  }
  return { domain, path, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** `ALGORITHM:HEX` as the OCI image specification registers algorithms. */
export function isImageDigest(text: string): boolean {
  return DIGEST.test(text);
}

/** The normalized name in full: `docker.io/library/app:1@sha256:…`. */
export function formatImageName({ domain, path, tag, digest }: ImageName): string {
  return `${domain}/${path}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/**
 * The name that the patterns of policies see, without tag and digest. Spellings of one registry are one name, so that nobody
 * leaves the rules for an image by another spelling: hosts know no case, 443 is the port of https, and numbers may begin with
 * zeros.
 */
export function artifactName({ domain, path }: ImageName): string {
  const lower = domain.toLowerCase();
  const host = URL.canParse(`https://${lower}`) ? new URL(`https://${lower}`).host : lower;
  return `${host === HUB_REGISTRY ? HUB : host}/${path}`;
}

function split(text: string): { readonly domain: string; readonly rest: string } {
  const slash = text.indexOf('/');
  if (slash === -1) return { domain: HUB, rest: `${OFFICIAL}${text}` };
  const first = text.slice(0, slash);
  const isDomain = first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first;
  const domain = !isDomain || first === HUB_LEGACY ? HUB : first;
  const rest = isDomain ? text.slice(slash + 1) : text;
  return { domain, rest: domain === HUB && !rest.includes('/') ? `${OFFICIAL}${rest}` : rest };
}

function whyRefused(rest: string): string {
  const [path = ''] = rest.split(/[:@]/, 1);
  if (path.toLowerCase() !== path) return 'a repository has lower-case letters only';
  if (path.split('/').some((part) => /^\.*$/.test(part))) return 'a part of its path is empty or consists of dots';
  return 'the form is [HOST[:PORT]/]PATH[:TAG][@DIGEST]';
}

function malformedName(text: string, why: string): ClientError {
  return new ClientError('usage', `"${printable(text)}" is not the name of an image: ${why}`);
}
