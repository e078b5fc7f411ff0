import type { lookup } from 'node:dns';
import type { Writable } from 'node:stream';
import type { ConfiguredSink } from '../sink.ts';
import type { SinkOptions } from '../sink-options.ts';
import { EmailSink } from './email.ts';
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
 * @param all no two have the same name
 * @throws DeliveryError `secret`; RuntimeError `package` where a sink needs a package that is not installed
 */
export async function openSinks(all: readonly SinkOptions[], options: OpenOptions = {}): Promise<ConfiguredSink[]> {
  const opened: ConfiguredSink[] = [];
  for (const one of all) opened.push(...open(one, options));
  for (const sink of opened) await sink.check?.();
  return opened;
}

function open(sink: SinkOptions, options: OpenOptions): ConfiguredSink[] {
  switch (sink.type) {
    case 'webhook':
      return [new WebhookSink(sink, options.resolve)];
    case 'stdout':
      return [new StdoutSink(sink, options.stdout)];
    case 'exec':
      return [new ExecSink(sink)];
    case 'email':
      return sink.to.map((to) => new EmailSink(sink, to));
  }
}
