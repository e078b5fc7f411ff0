import type { lookup } from 'node:dns';
import type { Writable } from 'node:stream';
import { ClientError } from '../../../errors.ts';
import type { ConfiguredSink } from '../sink.ts';
import { MAX_SINKS, type SinkOptions } from '../sink-options.ts';
import { ExecSink } from './exec.ts';
import { StdoutSink } from './stdout.ts';
import { WebhookSink } from './webhook.ts';

interface OpenOptions {
  /** Default: standard output of the process. */
  readonly stdout?: Writable;
  /** Resolves the names of webhooks; the system's resolver by default. */
  readonly resolve?: typeof lookup;
}

/**
 * The sinks of a configuration; each recipient of an e-mail sink is one. A sink connects with its first delivery, but its
 * secrets and certificates must be there.
 *
 * @throws ClientError `usage`: there is no sink, or two sinks have one name
 * @throws DeliveryError `secret`
 */
export async function openSinks(all: readonly SinkOptions[], options: OpenOptions = {}): Promise<ConfiguredSink[]> {
  if (all.length === 0)
    throw new ClientError('usage', 'no sink is configured: nobody would learn of an alert; add one to "sinks"');
  if (all.length > MAX_SINKS)
    throw new ClientError('usage', `${all.length} sinks are configured, at most ${MAX_SINKS} are taken`);
  const names = new Set<string>();
  for (const { name } of all) {
    if (names.has(name))
      throw new ClientError('usage', `two sinks have the name "${name}": give each a name of its own`);
    names.add(name);
  }
  const opened: ConfiguredSink[] = [];
  for (const one of all) opened.push(...(await open(one, options)));
  for (const sink of opened) await sink.check?.();
  return opened;
}

async function open(sink: SinkOptions, options: OpenOptions): Promise<ConfiguredSink[]> {
  switch (sink.type) {
    case 'webhook':
      return [new WebhookSink(sink, options.resolve)];
    case 'stdout':
      return [new StdoutSink(sink, options.stdout)];
    case 'exec':
      return [new ExecSink(sink)];
    case 'email': {
      // Loading takes 100 ms, which only a monitor with such a sink pays.
      const { EmailSink } = await import('./email.ts');
      return sink.to.map((to) => new EmailSink(sink, to));
    }
  }
}
