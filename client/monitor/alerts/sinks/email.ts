/**
 * E-mail. Each recipient is a sink, `<name>/<address>`. With one sink for all, a server that takes a message for some of the
 * recipients would make the others lose it, or send it to the first ones again and again.
 *
 * Nothing of an alert can become a header: subject and addresses are one printable line, addresses need no quoting
 * (`isMailAddress`), and nodemailer encodes what is not ASCII. The Message-ID follows from the alerts, so that a reader
 * recognizes a second delivery.
 */
import { once } from 'node:events';
import { connect, isIP } from 'node:net';
import type Nodemailer from 'nodemailer';
import { printable } from '../../../../merkle/printable.ts';
import { loadPackage } from '../../../../merkle/runtime/optional-package.ts';
import { whenAborted } from '../../../../merkle/runtime/service/ends.ts';
import type { Alert } from '../../types.ts';
import { deliveryId, subjectOf, textOf } from '../render.ts';
import { type ConfiguredSink, DeliveryError, type SinkSettings, settingsOf } from '../sink.ts';
import type { EmailOptions } from '../sink-options.ts';
import { openSecret, readCertificates } from '../sink-secret.ts';

const PORTS = { implicit: 465, starttls: 587, none: 25 } as const;

export class EmailSink implements ConfiguredSink {
  readonly name: string;
  readonly settings: SinkSettings;
  readonly #options: EmailOptions;
  readonly #to: string;

  /** @param to one of the recipients */
  constructor(options: EmailOptions, to: string) {
    this.name = `${options.name}/${to}`;
    this.settings = settingsOf(options);
    this.#options = options;
    this.#to = to;
  }

  /** @throws DeliveryError `secret`; RuntimeError `package` where nodemailer is not installed */
  async check(): Promise<void> {
    await loadNodemailer();
    await this.#password();
    if (this.#options.caFile !== undefined) await readCertificates(this.#options.caFile);
  }

  /** @throws DeliveryError `network`, `timeout`, `refused`, `secret` */
  async deliver(alerts: readonly Alert[], signal: AbortSignal): Promise<void> {
    const { host, tls, user, from, timeout, caFile } = this.#options;
    const message = {
      from,
      to: this.#to,
      subject: subjectOf(alerts),
      text: textOf(alerts),
      messageId: `<${deliveryId(alerts)}@${from.slice(from.lastIndexOf('@') + 1)}>`,
      // RFC 3834: keeps vacation notices away.
      headers: { 'Auto-Submitted': 'auto-generated' },
    };
    const { createTransport } = await loadNodemailer();
    const pass = await this.#password();
    const ca = caFile === undefined ? {} : { ca: await readCertificates(caFile) };
    const limit = AbortSignal.timeout(timeout);
    const stop = AbortSignal.any([signal, limit]);
    if (signal.aborted) throw this.#failure('timeout', 'was not asked: the monitor stops');
    const port = this.#options.port ?? PORTS[tls];
    // A socket that this code can close: nodemailer waits for its server before it closes one.
    const socket = connect({ host, port });
    socket.on('error', () => {});
    const transport = createTransport({
      host,
      port,
      connection: socket,
      secure: tls === 'implicit',
      requireTLS: tls === 'starttls',
      ignoreTLS: tls === 'none',
      ...(user !== undefined && pass !== undefined && { auth: { user, pass } }),
      tls: { minVersion: 'TLSv1.2', rejectUnauthorized: true, ...(isIP(host) === 0 && { servername: host }), ...ca },
      connectionTimeout: timeout,
      greetingTimeout: timeout,
      socketTimeout: timeout,
      // The content of an alert is text, even where it looks like markup or a URL.
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    let sent: Promise<unknown> | undefined;
    try {
      await once(socket, 'connect', { signal: stop });
      sent = transport.sendMail(message);
      sent.catch(() => {});
      await Promise.race([sent, whenAborted(stop)]);
      stop.throwIfAborted();
    } catch (error) {
      throw this.#translated(error, limit);
    } finally {
      socket.destroy();
      transport.close();
    }
  }

  async #password(): Promise<string | undefined> {
    const { passwordFile, passwordEnv } = this.#options;
    if (passwordFile !== undefined) return await openSecret({ file: passwordFile }, 1);
    return passwordEnv === undefined ? undefined : await openSecret({ env: passwordEnv }, 1);
  }

  #translated(error: unknown, limit: AbortSignal): DeliveryError {
    const { responseCode, code } = error as { responseCode?: unknown; code?: unknown };
    // nodemailer has the same limit for each step, and its timer may fire first.
    if (limit.aborted || code === 'ETIMEDOUT')
      return this.#failure('timeout', `did not take the message in ${this.#options.timeout} ms`, error);
    // The text of the answer may repeat parts of the request, such as an encoded password.
    if (typeof responseCode === 'number') return this.#failure('refused', `answered ${responseCode}`, error);
    const refused = code === 'EAUTH' || code === 'EENVELOPE';
    const what = refused ? 'refuses the message or the user' : 'cannot be reached, or not securely';
    return this.#failure(refused ? 'refused' : 'network', `${what} (${printable(String(code ?? 'no answer'))})`, error);
  }

  #failure(reason: DeliveryError['reason'], what: string, cause?: unknown): DeliveryError {
    const text = `the mail server ${this.#options.host}, for ${this.#to}, ${what}`;
    return new DeliveryError(reason, text, cause);
  }
}

/** 100 ms, which only a monitor with such a sink pays. */
function loadNodemailer(): Promise<typeof Nodemailer> {
  return loadPackage('nodemailer', 'a sink of type `email`');
}
