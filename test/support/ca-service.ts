/**
 * The built `stele ca serve` as a separate process, with all that it needs: a root and a team with software keys, a log with a
 * witness, and an issuer of ID tokens. Run `npm run build` first.
 *
 *     const world = await makeCaWorld(dir);
 *     const ca = await world.startCa();
 *     const reply = await ca.ask({ token: world.token({ email: 'release@example.com' }) });
 */
import { type ChildProcess, spawn } from 'node:child_process';
import * as crypto from 'node:crypto';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { join } from 'node:path';
import type { NameSubtrees } from '../../client/ca/certificates/types.ts';
import { newKey } from '../../merkle/runtime/keys/keyfile.ts';
import type { Signer } from '../../merkle/runtime/keys/types.ts';
import { newTestRoot, type TestRoot, type TestTeam } from './ca.ts';
import type { Shown } from './client-certificates.ts';
import { startIssuer, type TestIssuer, type TokenWish } from './issuer.ts';
import { CLI, type ServeProcess, startServer } from './serve.ts';
import { startWitness, type WitnessProcess } from './witness-process.ts';

export const CA_AUDIENCE = 'sigstore';
/** What the team may certify. */
export const CA_NAMES: NameSubtrees = { uri: ['ci.example.com', 'github.com'], dns: [], email: ['example.com'] };

interface CaWorldWish {
  readonly names?: NameSubtrees;
  /** More of ca.yaml: text in YAML, at the outermost level. */
  readonly settings?: string;
  /** More of the team: lines in YAML, each with four spaces in front. */
  readonly team?: string;
  readonly identity?: string;
  /** More flags of the log. */
  readonly logArgs?: readonly string[];
}

export interface CaWorld {
  readonly dir: string;
  readonly root: TestRoot;
  readonly team: TestTeam;
  readonly ct: Signer;
  readonly issuer: TestIssuer;
  readonly witness: WitnessProcess;
  log: ServeProcess;
  readonly configFile: string;
  readonly policyFile: string;
  token(claims?: Readonly<Record<string, unknown>>, wish?: TokenWish): string;
  /** Writes ca.yaml again. @param settings more of it */
  configure(settings?: string): Promise<void>;
  startCa(options?: CaProcessOptions): Promise<CaProcess>;
  /** Starts the log again, at its port. */
  startLog(): Promise<void>;
  close(): Promise<void>;
}

interface CaProcessOptions {
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** In front of the command: `['faketime', '-1h']`. */
  readonly under?: readonly string[];
  /** Before the command line: `['--import', FILE]`. */
  readonly node?: readonly string[];
}

export async function makeCaWorld(dir: string, wish: CaWorldWish = {}): Promise<CaWorld> {
  const { names = CA_NAMES } = wish;
  await mkdir(dir, { recursive: true });
  const root = await newTestRoot();
  const team = await root.team('ci', names);
  await team.save(join(dir, 'ci.key.pem'));
  await writeFile(join(dir, 'ci.chain.pem'), team.chain);
  const ct = newKey('ecdsa-p256');
  await ct.save(join(dir, 'ct.key.pem'));
  const issuer = await startIssuer({ audience: CA_AUDIENCE });

  // The first start makes the key of the log, of which its witness and its policy must know.
  const first = await startServer(join(dir, 'log'));
  const port = Number(new URL(first.url).port);
  await first.stop();
  const witness = await startWitness(join(dir, 'witness'), 'witness.example.com', first.verifierKeys);
  const policyFile = join(dir, 'policy');
  const policy = `log ${first.verifierKeys[0]}\n${witness.policyLine('w1')}group all all w1\nquorum all\n`;
  await writeFile(policyFile, policy);
  const startLog = () =>
    startServer(join(dir, 'log'), {
      args: ['--policy', policyFile, '--listen-port', String(port), ...(wish.logArgs ?? [])],
    });
  const log = await startLog();
  const configFile = join(dir, 'ca.yaml');
  const configure = (settings = wish.settings ?? '') =>
    writeFile(
      configFile,
      `listen: { port: 0 }
admin: { port: 0 }
data: ca-data
log: { level: info, format: json }
teams:
  - name: ci
    certificate: ci.chain.pem
    key: { file: ci.key.pem }
    issuers:
      - { issuer: '${issuer.url}', name: email }
${wish.team ?? ''}
identity:
  issuers:
    - { issuer: '${issuer.url}' }
${wish.identity ?? ''}
ct: { key: { file: ct.key.pem } }
transparencyLog: { url: '${log.url}', quorumPolicy: policy }
${settings}
`,
    );
  await configure();
  const world: CaWorld = {
    dir,
    root,
    team,
    ct: ct.signer,
    issuer,
    witness,
    log,
    configFile,
    policyFile,
    token: (claims, more) => issuer.token(claims, more),
    configure,
    startCa: (options) => startCa(configFile, options),
    startLog: async () => {
      world.log = await startLog();
    },
    close: async () => {
      await world.log.kill();
      await witness.kill();
      await issuer.close();
    },
  };
  return world;
}

/** What a client asks for. */
export interface CaAsk {
  readonly token?: string;
  /** In the body, in the place of the header. */
  readonly bodyToken?: string;
  /** The text that the proof of possession is over; by default the e-mail address or the subject in the token. */
  readonly proven?: string;
  readonly keys?: crypto.KeyPairKeyObjectResult;
  /** The body, in the place of the usual one. */
  readonly body?: unknown;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

// biome-ignore lint/suspicious/noExplicitAny: JSON that tests read in any place
type CaJson = any;

/** The same over HTTPS, with what the client shows. */
export async function askCaByTls(
  url: string,
  ca: string,
  shown: Partial<Shown> & { rejectUnauthorized?: boolean },
  ask: CaAsk,
): Promise<CaAnswer> {
  const { token, keys = newP256(), path = '/api/v2/signingCert' } = ask;
  const body = JSON.stringify(ask.body ?? signingBody(keys, ask.proven ?? provenBy(token)));
  const headers = {
    'content-type': 'application/json',
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
  return await new Promise((resolve, reject) => {
    const request = https.request(
      new URL(path, url),
      { method: 'POST', ca, ...shown, headers, agent: false },
      (reply) => {
        let text = '';
        reply.setEncoding('utf8').on('data', (part: string) => (text += part));
        reply.on('end', () => {
          const { statusCode: status = 0, headers: given } = reply;
          resolve({
            status,
            headers: new Headers(given as Record<string, string>),
            json: JSON.parse(text),
            text,
            keys,
          });
        });
      },
    );
    request.on('error', reject).end(body);
  });
}

export interface CaAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: CaJson;
  readonly text: string;
  readonly keys: crypto.KeyPairKeyObjectResult;
}

export interface CaProcess {
  readonly url: string;
  readonly adminUrl: string;
  readonly pid: number;
  log(): string;
  ask(ask: CaAsk): Promise<CaAnswer>;
  ready(): Promise<{
    readonly ready: boolean;
    readonly reasons: readonly string[];
    readonly alarms?: readonly string[];
  }>;
  signal(signal: NodeJS.Signals): void;
  stop(): Promise<number | null>;
  kill(): Promise<void>;
  /** Resolves with the exit status, or the signal that ended the process. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
}

async function startCa(configFile: string, options: CaProcessOptions = {}): Promise<CaProcess> {
  const { under = [], node = [], args = [] } = options;
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('STELE_')));
  const words = [...under, process.execPath, ...node, CLI, 'ca', 'serve', '--json', '--config', configFile, ...args];
  const child = spawn(words[0]!, words.slice(1), {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...clean, ...options.env },
  });
  return await announcedCa(child);
}

async function announcedCa(child: ChildProcess): Promise<CaProcess> {
  const exited = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  const reap = () => child.kill('SIGKILL');
  process.once('exit', reap);
  exited.finally(() => process.off('exit', reap));
  let log = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  const up = new Promise<string>((resolve) => {
    let out = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      if (out.endsWith('\n}\n')) resolve(out);
    });
  });
  const json = await Promise.race([
    up,
    exited.then(([code, signal]): string => {
      throw new Error(`stele ca serve ended with ${code ?? signal} before it was up:\n${log}`);
    }),
  ]);
  const started = JSON.parse(json) as { url?: string; adminUrl: string };
  const { url, adminUrl } = started;
  if (url === undefined) throw new Error(`stele ca serve did not come up: ${json}`);
  return {
    url,
    adminUrl,
    pid: child.pid!,
    log: () => log,
    ask: (ask) => askCa(url, ask),
    ready: async () => (await (await fetch(`${adminUrl}/readyz`)).json()) as never,
    signal: (signal) => child.kill(signal),
    stop: async () => {
      child.kill('SIGTERM');
      return (await exited)[0];
    },
    kill: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    ended: exited.then(([code, signal]) => code ?? signal),
  };
}

export function newP256(): crypto.KeyPairKeyObjectResult {
  return crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** The body of a request, with a proof of possession over `proven`. */
export function signingBody(
  keys: crypto.KeyPairKeyObjectResult,
  proven: string,
  token?: string,
  hash: string | null = 'sha256',
): Record<string, unknown> {
  return {
    ...(token !== undefined && { credentials: { oidcIdentityToken: token } }),
    publicKeyRequest: {
      publicKey: { algorithm: 'ECDSA', content: keys.publicKey.export({ type: 'spki', format: 'pem' }) },
      proofOfPossession: crypto.sign(hash, Buffer.from(proven), keys.privateKey).toString('base64'),
    },
  };
}

export async function askCa(url: string, ask: CaAsk): Promise<CaAnswer> {
  const { token, bodyToken, keys = newP256(), path = '/api/v2/signingCert' } = ask;
  const proven = ask.proven ?? provenBy(token ?? bodyToken);
  const body = ask.body ?? signingBody(keys, proven, bodyToken);
  const response = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...ask.headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  let json: CaJson;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: response.status, headers: response.headers, json, text, keys };
}

/** As clients of Sigstore choose it. */
function provenBy(token: string | undefined): string {
  try {
    const claims = JSON.parse(Buffer.from(token!.split('.')[1]!, 'base64url').toString());
    return claims.email || claims.sub || 'nobody';
  } catch {
    return 'nobody';
  }
}
