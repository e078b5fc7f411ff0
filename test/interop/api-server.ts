/** The part of a Kubernetes API server that calls webhooks (k8s.io/apiserver), as a process: judges/admission. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parse } from 'yaml';
import { TLS } from '../support/webhook.ts';

export const KUBERNETES = join(import.meta.dirname, '../../deploy/kubernetes');
/** The namespace of the webhook, and the label by which others opt in. */
export const OWN = 'stele-admission';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Record<string, string> };
}

interface Hook {
  readonly name: string;
  readonly rules: readonly { apiGroups: string[]; apiVersions: string[]; resources: string[]; operations: string[] }[];
  readonly clientConfig: object;
  readonly failurePolicy: string;
}

export interface Hooks extends Manifest {
  readonly webhooks: readonly Hook[];
}

const fileOf = (name: string) => parse(readFileSync(join(KUBERNETES, name), 'utf8')) as unknown;
export const VALIDATING = fileOf('admission/validating-webhook.yaml') as Hooks;
export const MUTATING = fileOf('admission-tags/mutating-webhook.yaml') as Hooks;

const namespace = (name: string, labels: object = {}) => ({
  metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } },
});
export const NAMESPACES = [
  namespace('team', { [OWN]: 'enforce' }),
  namespace('other'),
  namespace(OWN, { [OWN]: 'enforce' }),
  namespace('written-otherwise', { [OWN]: 'true' }),
];

export interface Outcome {
  readonly allowed: boolean;
  readonly failedOpen: boolean;
  readonly message: string;
  readonly code: number;
  readonly object?: { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
}

/** A process of the judge; it answers one line at a time. */
export class ApiServer {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(program: string) {
    this.#process = spawn(program);
    this.#process.stderr.pipe(process.stderr);
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  async run(command: object): Promise<Outcome> {
    this.#process.stdin.write(`${JSON.stringify(command)}\n`);
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('the API server ended');
    return JSON.parse(value) as Outcome;
  }

  async end(): Promise<void> {
    this.#process.stdin.end();
    await once(this.#process, 'exit');
  }
}

/**
 * A configuration of webhooks as a cluster has it: with the authority of the certificate, and with the default that an API server
 * writes into it.
 */
export function hooksOf(hooks: Hooks, change: object = {}): Hooks {
  const webhooks = hooks.webhooks.map((hook) => {
    const clientConfig = { ...hook.clientConfig, caBundle: Buffer.from(TLS.ca).toString('base64') };
    return { ...hook, objectSelector: {}, clientConfig, ...change };
  });
  return { ...hooks, webhooks };
}
