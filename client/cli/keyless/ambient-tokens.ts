/**
 * Identity tokens that a build system, a cloud or a SPIFFE agent gives to what runs there. Each is asked as its maker
 * documents it; the first that is there is asked alone, and its failure is an error.
 *
 * No message holds a piece of a token, or of the secret by which one is asked for.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { printable } from '../../../merkle/printable.ts';
import { workloadApiOf } from '../../../merkle/runtime/identity/spiffe/workload-socket.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import { fetchBounded } from '../../../merkle/runtime/service/fetch.ts';
import { ClientError } from '../../errors.ts';
import { isLoopback } from '../../submit/keyless/ask-authority.ts';
import { MAX_IDENTITY_TOKEN } from '../../submit/keyless/identity-token.ts';

const TIMEOUT_MS = 20_000;
/** An answer with a token in JSON. */
const MAX_ANSWER = 4 * MAX_IDENTITY_TOKEN;

type Environment = Readonly<Record<string, string | undefined>>;

interface TokenSource {
  /** For people. */
  readonly name: string;
  /** Whether this process runs there. */
  isHere(env: Environment): boolean;
  /** @throws ClientError `identity-token`, `cancelled`; Error with the reason */
  token(env: Environment, audience: string, signal: AbortSignal | undefined): Promise<string>;
}

const has = (env: Environment, ...names: readonly string[]): boolean => names.every((name) => (env[name] ?? '') !== '');

/** docs.github.com, "OpenID Connect reference"; a job has the two variables with `permissions: id-token: write`. */
const GITHUB: TokenSource = {
  name: 'GitHub Actions',
  isHere: (env) => has(env, 'ACTIONS_ID_TOKEN_REQUEST_URL', 'ACTIONS_ID_TOKEN_REQUEST_TOKEN'),
  token: async (env, audience, signal) => {
    const text = env.ACTIONS_ID_TOKEN_REQUEST_URL!;
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url === undefined || (url.protocol !== 'https:' && !isLoopback(url.hostname))) {
      throw new Error('ACTIONS_ID_TOKEN_REQUEST_URL is no https URL');
    }
    url.searchParams.set('audience', audience);
    const authorization = `Bearer ${env.ACTIONS_ID_TOKEN_REQUEST_TOKEN}`;
    const answer = await get(url, { authorization, accept: 'application/json' }, signal);
    const { value } = Object(parsed(answer)) as { readonly value?: unknown };
    if (typeof value !== 'string') throw new Error('the answer holds no token');
    return value;
  },
};

/** buildkite.com/docs/agent/v3/cli-oidc. */
const BUILDKITE: TokenSource = {
  name: 'Buildkite',
  isHere: (env) => has(env, 'BUILDKITE_AGENT_ACCESS_TOKEN'),
  token: (_env, audience, signal) =>
    new Promise((resolve, reject) => {
      const args = ['oidc', 'request-token', '--audience', audience];
      const limits = { timeout: TIMEOUT_MS, maxBuffer: MAX_ANSWER, ...(signal === undefined ? {} : { signal }) };
      execFile('buildkite-agent', args, limits, (error, stdout) => {
        if (error === null) return resolve(stdout);
        // What the agent printed may hold the token.
        reject(
          new Error(`\`buildkite-agent oidc request-token\` ended with ${error.code ?? error.signal ?? 'an error'}`),
        );
      });
    }),
};

/** circleci.com/docs/openid-connect-tokens: its audience is the organization. */
const CIRCLECI: TokenSource = {
  name: 'CircleCI',
  isHere: (env) => has(env, 'CIRCLE_OIDC_TOKEN_V2'),
  token: async (env) => env.CIRCLE_OIDC_TOKEN_V2!,
};

/** The metadata server of Google's clouds: cloud.google.com/compute/docs/instances/verifying-instance-identity. */
const GOOGLE: TokenSource = {
  name: "Google's metadata server",
  isHere: (env) => has(env, 'GCE_METADATA_HOST') || /^Google/.test(productName()),
  token: async (env, audience, signal) => {
    const host = has(env, 'GCE_METADATA_HOST') ? env.GCE_METADATA_HOST : 'metadata.google.internal';
    const text = `http://${host}/computeMetadata/v1/instance/service-accounts/default/identity`;
    if (!URL.canParse(text)) throw new Error('GCE_METADATA_HOST is no host');
    const url = new URL(text);
    url.searchParams.set('audience', audience);
    url.searchParams.set('format', 'full');
    return Buffer.from(await get(url, { 'metadata-flavor': 'Google' }, signal)).toString('latin1');
  },
};

/** A JWT-SVID of the SPIFFE Workload API. */
const SPIFFE: TokenSource = {
  name: 'the SPIFFE Workload API',
  isHere: (env) => workloadApiOf(env) !== undefined,
  token: async (env, audience) => {
    const { fetchJwtSvid } = await import('../../../merkle/runtime/identity/spiffe/workload-svids.ts');
    return (await fetchJwtSvid({ workloadApi: workloadApiOf(env)!, audience, timeoutMs: TIMEOUT_MS })).token;
  },
};

/** In the order in which they are looked for. */
const TOKEN_SOURCES: readonly TokenSource[] = [GITHUB, BUILDKITE, CIRCLECI, SPIFFE, GOOGLE];

function productName(): string {
  try {
    return readFileSync('/sys/class/dmi/id/product_name', 'latin1');
  } catch {
    return '';
  }
}

/**
 * A token of the first source that is here.
 *
 * @returns undefined where there is none
 * @throws ClientError `identity-token`, `cancelled`
 */
export async function ambientToken(
  env: Environment,
  audience: string,
  signal: AbortSignal | undefined,
): Promise<{ readonly token: string; readonly from: string } | undefined> {
  const source = TOKEN_SOURCES.find((one) => one.isHere(env));
  if (source === undefined) return undefined;
  try {
    return { token: await source.token(env, audience, signal), from: source.name };
  } catch (error) {
    if (error instanceof ClientError) throw error;
    if (signal?.aborted) throw new ClientError('cancelled', 'cancelled');
    const why = printable((error as Error).message);
    throw new ClientError('identity-token', `${source.name} gave no identity token: ${why}`);
  }
}

/** The body of an answer with status 200. Of another answer nothing is printed but its status. */
async function get(
  url: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  try {
    const { status, bytes } = await fetchBounded(url.href, {
      limit: MAX_ANSWER,
      timeoutMs: TIMEOUT_MS,
      headers,
      signal,
    });
    if (status === 200) return bytes;
    throw new Error(`${url.origin} answers with status ${status}`);
  } catch (error) {
    // The address may have secrets in its query.
    if (error instanceof RuntimeError) throw new Error(error.message.replaceAll(url.href, url.origin));
    throw error;
  }
}

function parsed(answer: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(answer).toString());
  } catch {
    throw new Error('the answer is not JSON');
  }
}
