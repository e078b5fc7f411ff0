import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import net, { type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Queue } from '../../../client/monitor/alerts/alert-queue.ts';
import type { QueueEvent } from '../../../client/monitor/alerts/sink-line.ts';
import type { EmailOptions } from '../../../client/monitor/alerts/sink-options.ts';
import { isMailAddress } from '../../../client/monitor/alerts/sink-options.ts';
import { EmailSink } from '../../../client/monitor/alerts/sinks/email.ts';
import { openSinks } from '../../../client/monitor/alerts/sinks/open-sinks.ts';
import { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { tempDir } from '../../support/log.ts';
import { decodeSink } from '../../support/sinks.ts';
import { until } from '../../support/until.ts';
import { alertOf, alertsOf } from './alerts.ts';
import { selfSigned } from './certificate.ts';

interface Mail {
  readonly from: string;
  readonly to: string[];
  readonly data: string;
  readonly secure: boolean;
  readonly user: string | undefined;
}

interface Behaviour {
  /** Answers a command in place of success. */
  readonly answer?: (command: string) => string | undefined;
  readonly starttls?: boolean;
  readonly silent?: boolean;
  /** Answers the first command a line at a time, for ever. */
  readonly drip?: boolean;
}

const certificate = selfSigned('localhost');

/** A mail server as small as RFC 5321 lets it be, with STARTTLS and AUTH PLAIN. */
class SmtpServer {
  readonly mails: Mail[] = [];
  readonly commands: string[] = [];
  readonly #server: net.Server;
  readonly #sockets = new Set<Socket>();
  behaviour: Behaviour = {};
  connections = 0;

  constructor(implicit = false) {
    const connected = (socket: Socket) => {
      this.connections++;
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      this.#serve(socket, implicit, true);
    };
    this.#server = implicit ? tls.createServer(certificate, connected) : net.createServer(connected);
  }

  get open(): number {
    return this.#sockets.size;
  }

  async listen(): Promise<number> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await once(this.#server.close(), 'close');
  }

  #serve(socket: Socket, secure: boolean, greet: boolean): void {
    socket.on('error', () => {});
    if (this.behaviour.silent) return void socket.resume();
    if (greet) socket.write('220 localhost ESMTP\r\n');
    let [from, user, data]: (string | undefined)[] = [];
    let to: string[] = [];
    let rest = '';
    const onLine = (line: string): void => {
      if (data !== undefined) {
        if (line !== '.') {
          data += `${line.replace(/^\./, '')}\n`;
          return;
        }
        const answer = this.behaviour.answer?.('.');
        if (answer === undefined) this.mails.push({ from: from!, to, data, secure, user });
        data = undefined;
        to = [];
        return void socket.write(`${answer ?? '250 taken'}\r\n`);
      }
      this.commands.push(line);
      const verb = line.split(' ')[0]!.toUpperCase();
      const answer = this.behaviour.answer?.(line);
      if (answer !== undefined) return void socket.write(`${answer}\r\n`);
      if (this.behaviour.drip) {
        const timer = setInterval(() => socket.write('250-x\r\n'), 20);
        socket.on('close', () => clearInterval(timer));
      } else if (verb === 'EHLO') {
        const offers = [...(this.behaviour.starttls && !secure ? ['STARTTLS'] : []), 'AUTH PLAIN', '8BITMIME'];
        socket.write(
          `250-localhost\r\n${offers.map((o, i) => `250${i === offers.length - 1 ? ' ' : '-'}${o}\r\n`).join('')}`,
        );
      } else if (verb === 'STARTTLS') {
        socket.removeAllListeners('data');
        socket.write('220 go\r\n');
        const upgraded = new tls.TLSSocket(socket, {
          isServer: true,
          secureContext: tls.createSecureContext(certificate),
        });
        this.#serve(upgraded, true, false);
      } else if (verb === 'AUTH') {
        user = Buffer.from(line.split(' ')[2]!, 'base64').toString();
        socket.write('235 ok\r\n');
      } else if (verb === 'MAIL') {
        from = line;
        socket.write('250 ok\r\n');
      } else if (verb === 'RCPT') {
        to.push(line);
        socket.write('250 ok\r\n');
      } else if (verb === 'DATA') {
        data = '';
        socket.write('354 go\r\n');
      } else if (verb === 'QUIT') {
        socket.end('221 bye\r\n');
      } else {
        socket.write('250 ok\r\n');
      }
    };
    socket.on('data', (part: Buffer) => {
      const lines = (rest + part.toString('latin1')).split('\r\n');
      rest = lines.pop()!;
      for (const line of lines) onLine(line);
    });
  }
}

let dir: Awaited<ReturnType<typeof tempDir>>;
let server: SmtpServer;
const stop = new AbortController();

beforeEach(async () => {
  dir = await tempDir();
  server = new SmtpServer();
  await writeFile(join(dir.path, 'ca.pem'), certificate.cert);
  await writeFile(join(dir.path, 'password'), 'pa55word\n', { mode: 0o600 });
});

afterEach(async () => {
  await server.close();
  await dir.remove();
});

function optionsOf(port: number, more: object = {}): EmailOptions {
  const given = {
    type: 'email',
    host: 'localhost',
    port,
    tls: 'none',
    from: 'stele@example.com',
    to: ['a@example.com'],
  };
  const decoded = decodeSink({ ...given, timeout: '1s', ...more }, dir.path);
  if ('problems' in decoded) throw new Error(decoded.problems.join());
  return decoded.sink as EmailOptions;
}

async function sinkTo(more: object = {}): Promise<EmailSink> {
  const options = optionsOf(await server.listen(), more);
  return new EmailSink(options, options.to[0]!);
}

/** Headers, and the text with quoted-printable undone. */
function parse({ data }: Mail): { headers: string[]; text: string } {
  const [head = '', ...body] = data.split('\n\n');
  const text = body.join('\n\n').replace(/=\n/g, '');
  const bytes = text.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return { headers: head.replace(/\n\s+/g, ' ').split('\n'), text: Buffer.from(bytes, 'latin1').toString() };
}

describe('a mail', () => {
  it('says in text what was found, over TLS, with the password from its file', async () => {
    server.behaviour = { starttls: true };
    const secure = { tls: 'starttls', caFile: 'ca.pem', user: 'monitor', passwordFile: 'password' };
    const sink = await sinkTo(secure);
    await sink.deliver([alertOf(0), alertOf(1, { severity: 'critical', summary: 'worse' })], stop.signal);
    const [mail] = server.mails;
    expect(mail).toMatchObject({ secure: true, user: '\0monitor\0pa55word', to: ['RCPT TO:<a@example.com>'] });
    const { headers, text } = parse(mail!);
    expect(headers).toEqual(
      expect.arrayContaining([
        'From: stele@example.com',
        'To: a@example.com',
        'Subject: [stele] critical: worse (and 1 more)',
        'Auto-Submitted: auto-generated',
        'Content-Type: text/plain; charset=utf-8',
      ]),
    );
    expect(text).toContain('ALERT: entry 0 is signed by somebody');
    expect(text).toContain(alertOf(1).id);
    // Nothing before TLS but the way to it.
    expect(server.commands.slice(0, 2).map((line) => line.split(' ')[0])).toEqual(['EHLO', 'STARTTLS']);
    expect(headers.filter((header) => header.startsWith('Message-ID'))).toHaveLength(1);
    await sink.deliver([alertOf(0), alertOf(1, { severity: 'critical', summary: 'worse' })], stop.signal);
    const ids = server.mails.map((one) => parse(one).headers.find((header) => header.startsWith('Message-ID')));
    expect(ids[0]).toBe(ids[1]);
  });

  it('goes over TLS from the start by default, and is checked', async () => {
    server = new SmtpServer(true);
    const port = await server.listen();
    const sink = new EmailSink(optionsOf(port, { tls: 'implicit', caFile: 'ca.pem' }), 'a@example.com');
    await sink.deliver(alertsOf(1), stop.signal);
    expect(server.mails[0]).toMatchObject({ secure: true });
    const unknown = new EmailSink(optionsOf(port, { tls: 'implicit' }), 'a@example.com');
    await expect(unknown.deliver(alertsOf(1), stop.signal)).rejects.toMatchObject({ reason: 'network' });
    expect(server.mails).toHaveLength(1);
  });

  it('is not sent where TLS is asked for and not to be had', async () => {
    const sink = await sinkTo({ tls: 'starttls', user: 'monitor', passwordFile: 'password' });
    await expect(sink.deliver(alertsOf(1), stop.signal)).rejects.toMatchObject({ code: 'delivery' });
    expect([server.mails, server.commands.filter((line) => !/^(EHLO|STARTTLS|QUIT|RSET)/.test(line))]).toEqual([
      [],
      [],
    ]);
  });

  it('takes no header and no address from an alert', async () => {
    const evil = 'x\r\nBcc: victim@example.com\r\n\r\n<script>\u202e\u2028\u0007\r\n.\r\nMAIL FROM:<a@b.c>';
    const sink = await sinkTo();
    const entry = { index: 1, leafHash: 'AAAA', names: [evil], issuer: evil, digest: evil, keyFingerprint: evil };
    await sink.deliver(
      [alertOf(0, { summary: evil, rule: evil, log: evil, evidence: evil, id: evil, entry })],
      stop.signal,
    );
    expect(server.mails).toHaveLength(1);
    const { headers, text } = parse(server.mails[0]!);
    expect(headers.filter((header) => /^bcc/i.test(header))).toEqual([]);
    expect(headers.filter((header) => header.startsWith('To:'))).toEqual(['To: a@example.com']);
    expect(server.mails[0]!.to).toEqual(['RCPT TO:<a@example.com>']);
    expect(text).not.toMatch(/^Bcc/m);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there is what this looks at
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e\u2028]/);
  });

  it('reads no file and no address that an alert names', async () => {
    const sink = await sinkTo();
    const summary = { path: join(dir.path, 'password') } as unknown as string;
    await sink.deliver([alertOf(0, { summary: `${JSON.stringify(summary)} file:///etc/passwd` })], stop.signal);
    expect(parse(server.mails[0]!).text).not.toContain('pa55word');
  });

  it.each([
    ['MAIL', '421 later'],
    ['RCPT', '550 no such user'],
    ['DATA', '451 full'],
    ['.', '554 spam'],
    ['AUTH', '535 wrong cGE1NXdvcmQ='],
  ])('stays where the server refuses at %s', async (verb, answer) => {
    server.behaviour = { starttls: true, answer: (line) => (line.startsWith(verb) ? answer : undefined) };
    const secure = { tls: 'starttls', caFile: 'ca.pem', user: 'monitor', passwordFile: 'password' };
    const sink = await sinkTo(secure);
    const error = await sink.deliver(alertsOf(1), stop.signal).catch((error: unknown) => error as Error);
    expect(error).toMatchObject({ reason: 'refused', message: expect.stringContaining(answer.slice(0, 3)) });
    expect((error as Error).message).not.toMatch(/pa55word|cGE1/);
    await until(() => server.open === 0);
  });

  it.each([{ silent: true }, { drip: true }])('gives up a server that hangs: %j', async (behaviour) => {
    server.behaviour = behaviour;
    const sink = await sinkTo();
    await expect(sink.deliver(alertsOf(1), stop.signal)).rejects.toMatchObject({ reason: 'timeout' });
    await until(() => server.open === 0);
  });

  it('fails where nobody listens', async () => {
    const port = await server.listen();
    await server.close();
    const sink = new EmailSink(optionsOf(port), 'a@example.com');
    await expect(sink.deliver(alertsOf(1), stop.signal)).rejects.toMatchObject({ reason: 'network' });
  });

  it('goes to each recipient once, also where another one is refused', async () => {
    let refused = true;
    server.behaviour = { answer: (line) => (refused && line.includes('<bad@') ? '550 no such user' : undefined) };
    const sinks = await openSinks([optionsOf(await server.listen(), { to: ['bad@example.com', 'good@example.com'] })]);
    expect(sinks.map(({ name }) => name)).toEqual(['email/bad@example.com', 'email/good@example.com']);
    const events: QueueEvent[] = [];
    const onEvent = (event: QueueEvent) => void events.push(event);
    const queue = await Queue.open(await GuardedLevel.open(join(dir.path, 'queue')), {
      sinks,
      firstPauseMs: 50,
      longestPauseMs: 50,
      onEvent,
    });
    await queue.enqueue(alertsOf(3));
    const drained = queue.drain(stop.signal);
    await until(() => events.filter(({ kind }) => kind === 'failed').length >= 2);
    expect(server.mails.map(({ to }) => to[0])).toEqual(['RCPT TO:<good@example.com>']);
    refused = false;
    expect(await drained).toBe(true);
    await queue.close();
    const bad = server.mails.filter(({ to }) => to[0]!.includes('bad'));
    expect(bad.map((mail) => parse(mail).headers.find((header) => header.startsWith('Subject')))).toHaveLength(2);
  });
});

describe('mail addresses', () => {
  it.each(['a@example.com', 'first.last+tag@mail.example.co.uk', 'root@localhost'])('take %s', (address) =>
    expect(isMailAddress(address)).toBe(true),
  );
  it.each([
    '',
    'a',
    '@b.c',
    'a@',
    'a b@c.d',
    'a@b.c, d@e.f',
    'a@b.c\nBcc: d@e.f',
    '"a"@b.c',
    'A <a@b.c>',
    'a@b..c',
    '.a@b.c',
    'a@-b.c',
    'a@[1.2.3.4]',
    'ü@b.c',
    'a@b.c;d@e.f',
    'group:a@b.c;',
    `${'a'.repeat(65)}@b.c`,
  ])('refuse %j', (address) => expect(isMailAddress(address)).toBe(false));
});
