/** The ports of a service: opened with errors that name the setting, closed in order. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type { DirLock } from '../disk/lock.ts';
import { RuntimeError } from '../runtime-errors.ts';
import type { App } from './app.ts';

export interface Address {
  /** An IP address or a host name. */
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
}

const LISTEN_ERRORS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there (EADDRINUSE). Stop it, or set `SETTING.port`.',
  EACCES: 'this user may not take that port. Set `SETTING.port` to 1024 or more, or give the right to it.',
  EADDRNOTAVAIL: 'this machine does not have that address. Set `SETTING.host`.',
  ENOTFOUND: 'there is no host of that name. Set `SETTING.host` to an address of this machine.',
};

/**
 * Listens, and returns the URL without a slash at its end; `localhost` stands for loopback and for all addresses.
 * @param setting the group of settings that holds `host` and `port`, for messages
 * @throws RuntimeError `config`
 */
export async function listen(app: App, address: Address, setting: string, tls = false): Promise<string> {
  const { host, port } = address;
  try {
    await once(app.server.listen({ host, port }), 'listening');
  } catch (cause) {
    throw listenError(cause, address, setting);
  }
  const loopback = ['127.0.0.1', '::1', '0.0.0.0', '::'].includes(host);
  const name = loopback ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return `${tls ? 'https' : 'http'}://${name}:${(app.server.address() as AddressInfo).port}`;
}

function listenError(cause: unknown, { host, port }: Address, setting: string): RuntimeError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const why = LISTEN_ERRORS[String(code)] ?? `${code ?? message}. Look at \`SETTING.host\` and \`SETTING.port\`.`;
  const named = setting.startsWith('--')
    ? why.replaceAll(/SETTING\.[a-z]+/g, setting)
    : why.replaceAll('SETTING', setting);
  const text = `cannot listen on ${host}:${port}: ${named}`;
  return new RuntimeError('config', text, { cause });
}

/**
 * Takes all of the ports for a moment, before a start makes anything: a port that is wrong or taken must not leave a key
 * behind. Each address has the name of its group of settings, or its flag (`--…`), for messages.
 * @throws RuntimeError `config`
 */
export async function tryPorts(addresses: readonly (readonly [setting: string, at: Address])[]): Promise<void> {
  const servers: Server[] = [];
  try {
    for (const [setting, address] of addresses) {
      const { host, port } = address;
      const server = createServer((socket) => socket.destroy());
      servers.push(server);
      try {
        await once(server.listen({ host, port }), 'listening');
      } catch (cause) {
        throw listenError(cause, address, setting);
      }
    }
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

interface Ports {
  readonly public: { readonly app: App; readonly at: Address; readonly tls?: boolean };
  readonly admin: { readonly app: App; readonly at: Address; readonly tls?: boolean };
}

/**
 * Listens on both ports, and writes the admin port's URL into the lock of the data directory, where operator's commands
 * look for it. Where one port fails, both apps are closed.
 * @throws RuntimeError `config`, `file`
 */
export async function openPorts(ports: Ports, lock: DirLock): Promise<{ url: string; adminUrl: string }> {
  const { public: open, admin } = ports;
  try {
    const adminUrl = await listen(admin.app, admin.at, 'admin', admin.tls);
    const url = await listen(open.app, open.at, 'listen', open.tls);
    await lock.announce(adminUrl);
    return { url, adminUrl };
  } catch (error) {
    await Promise.allSettled([open.app.close(), admin.app.close()]);
    throw error;
  }
}

/** Takes no new requests and waits for the replies under way, for at most `drainMs` milliseconds. */
export async function drainApp(app: App, drainMs: number): Promise<void> {
  const late = setTimeout(() => app.server.closeAllConnections(), drainMs);
  await app.close();
  clearTimeout(late);
}
