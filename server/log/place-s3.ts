/**
 * The second place as objects on an S3 server: `<prefix>/<name of the record>`, each created once.
 *
 * PutObject with `If-None-Match: *` (RFC 9110 section 13.1.2) creates an object and never replaces one; a 412 says that it is
 * there. A server that ignores the header could replace records, so the first object is sent twice: the second must get 412.
 */
import { createHash } from 'node:crypto';
import type { AwsV4Signer } from 'aws4fetch';
import { decodeUtf8 } from '../../merkle/bytes.ts';
import { readSecret } from '../../merkle/runtime/keys/secret.ts';
import { loadPackage } from '../../merkle/runtime/optional-package.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import { type Fetched, fetchBounded } from '../../merkle/runtime/service/fetch.ts';
import { parseListing } from './s3-listing.ts';
import { MAX_RECORD, type Place } from './second-place.ts';

interface S3Options {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly bucket: string;
  /** Without a slash at its end. */
  readonly prefix: string;
  readonly region: string;
  readonly credentialsFile?: string | undefined;
  /** Milliseconds for one call; 5,000 by default. */
  readonly timeoutMs?: number;
}

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

interface Call {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  /** The name of a record; without one the call goes to the bucket. */
  readonly record?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly limit?: number;
  readonly signal: AbortSignal;
}

const MAX_PAGE_BYTES = 1024 * 1024;
/** Of 1,000 names as S3 servers send them. Two records are kept: more than a few pages are a mistake. */
const MAX_PAGES = 20;
const MAX_ERROR_BYTES = 64 * 1024;

const ADVICE: Readonly<Record<number, string>> = {
  301: 'redirects are not followed; check the endpoint and the region',
  302: 'redirects are not followed; check the endpoint',
  307: 'redirects are not followed; check the endpoint and the region',
  308: 'redirects are not followed; check the endpoint',
  403: 'check the credentials, what they may do, the region and the clock',
  404: 'check the endpoint and the bucket',
};

export class S3Place implements Place {
  readonly name: string;
  readonly #options: S3Options;
  readonly #credentials: Credentials;
  readonly #signer: typeof AwsV4Signer;
  /** Derived keys, which hold for a day. */
  readonly #cache = new Map<string, ArrayBuffer>();
  /** The server has shown that it does not replace an object. */
  #createsOnce = false;

  private constructor(options: S3Options, credentials: Credentials, signer: typeof AwsV4Signer) {
    this.name = `s3://${options.bucket}/${options.prefix} at ${options.endpoint}`;
    this.#options = options;
    this.#credentials = credentials;
    this.#signer = signer;
  }

  /** @throws RuntimeError `package` where aws4fetch is not installed; `secret` where there are no credentials */
  static async open(options: S3Options): Promise<S3Place> {
    const aws4fetch = await loadPackage<typeof import('aws4fetch')>(
      'aws4fetch',
      'a second place on S3 (`secondPlaceS3`)',
    );
    return new S3Place(options, await readCredentials(options.credentialsFile), aws4fetch.AwsV4Signer);
  }

  async names(signal: AbortSignal): Promise<string[]> {
    const prefix = `${this.#options.prefix}/`;
    const names: string[] = [];
    for (let pages = 0; pages < MAX_PAGES; pages++) {
      const after = names.at(-1);
      const query = {
        'list-type': '2',
        'max-keys': '1000',
        prefix,
        ...(after === undefined ? {} : { 'start-after': `${prefix}${after}` }),
      };
      const reply = await this.#call({ method: 'GET', query, limit: MAX_PAGE_BYTES, signal });
      if (reply.status !== 200) throw this.#refused('a list of the records', reply);
      const page = parseListing(text(reply.bytes), prefix, after);
      if (typeof page === 'string') {
        throw new RuntimeError('network', `what ${this.name} answers to a list of the records ${page}`);
      }
      names.push(...page.names);
      if (!page.truncated) return names;
    }
    throw new RuntimeError(
      'too-long',
      `${this.name} has more records than ${MAX_PAGES} pages name: remove all but the newest by hand`,
    );
  }

  async create(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const made = await this.#put(name, bytes, signal);
    if (this.#createsOnce) return made;
    if (made && (await this.#put(name, bytes, signal))) {
      throw new RuntimeError(
        'network',
        `${this.name} replaces objects: the server ignores If-None-Match, so it cannot be a second place`,
      );
    }
    this.#createsOnce = true;
    return made;
  }

  async read(record: string, signal: AbortSignal): Promise<Uint8Array> {
    const reply = await this.#call({ method: 'GET', record, limit: MAX_RECORD, signal });
    if (reply.status !== 200) throw this.#refused(`the request for the record ${record}`, reply);
    return reply.bytes;
  }

  async remove(record: string, signal: AbortSignal): Promise<void> {
    const reply = await this.#call({ method: 'DELETE', record, signal });
    if (![200, 204, 404].includes(reply.status)) throw this.#refused(`the removal of the old record ${record}`, reply);
  }

  async #put(record: string, body: Uint8Array, signal: AbortSignal): Promise<boolean> {
    const reply = await this.#call({ method: 'PUT', record, body, headers: { 'If-None-Match': '*' }, signal });
    if (reply.status !== 200 && reply.status !== 412) throw this.#refused(`the new record ${record}`, reply);
    return reply.status === 200;
  }

  async #call({
    method,
    record,
    query = {},
    headers = {},
    body,
    limit = MAX_ERROR_BYTES,
    signal,
  }: Call): Promise<Fetched> {
    const { endpoint, bucket, prefix, region, timeoutMs = 5000 } = this.#options;
    const parameters = new URLSearchParams(query).toString();
    const path = record === undefined ? bucket : `${bucket}/${prefix}/${record}`;
    const url = `${endpoint}/${path}${parameters === '' ? '' : `?${parameters}`}`;
    const digest = createHash('sha256')
      .update(body ?? '')
      .digest('hex');
    const signer = new this.#signer({
      method,
      url,
      headers: { ...headers, 'X-Amz-Content-Sha256': digest },
      ...this.#credentials,
      service: 's3',
      region,
      cache: this.#cache,
    });
    const signed = await signer.sign();
    return await fetchBounded(url, {
      ...(method === 'GET' ? {} : { method }),
      headers: Object.fromEntries(signed.headers),
      body,
      limit,
      timeoutMs,
      signal,
      read: 'all',
    });
  }

  #refused(what: string, { status, bytes }: Fetched): RuntimeError {
    const code = /<Code>([A-Za-z]{1,64})<\/Code>/.exec(text(bytes))?.[1];
    const advice = ADVICE[status];
    return new RuntimeError(
      'network',
      `${this.name} answers ${status}${code === undefined ? '' : ` (${code})`} to ${what}${advice === undefined ? '' : `: ${advice}`}`,
    );
  }
}

async function readCredentials(file: string | undefined): Promise<Credentials> {
  if (file === undefined) {
    const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token } = process.env;
    return credentials('AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment', id, secret, token);
  }
  const [id, secret, ...more] = (await readSecret({ file })).split(/\r?\n/);
  return credentials(`the credentials file ${file}`, more.length === 0 ? id : undefined, secret);
}

const VISIBLE = /^[\x21-\x7e]{1,4096}$/;

function credentials(where: string, id = '', secret = '', token = ''): Credentials {
  if (!VISIBLE.test(id) || !VISIBLE.test(secret) || !VISIBLE.test(token || '-')) {
    throw new RuntimeError(
      'secret',
      `a second place on S3 needs an access key ID and a secret access key, and ${where} does not hold them: set both ` +
        'variables, or name a file with one in each of two lines in `secondPlaceS3.credentialsFile`',
    );
  }
  return { accessKeyId: id, secretAccessKey: secret, ...(token === '' ? {} : { sessionToken: token }) };
}

function text(bytes: Uint8Array): string {
  try {
    return decodeUtf8(bytes);
  } catch {
    return '';
  }
}
