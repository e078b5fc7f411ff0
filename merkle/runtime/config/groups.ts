/** Settings that every service has, written once. */
import { isIP } from 'node:net';
import { Type } from 'typebox';
import { LOG_FORMATS, LOG_LEVELS } from '../service/logger.ts';
import type { Address } from '../service/ports.ts';
import { type About, choice, count, list, text } from './values.ts';

const ADDRESS = /^[A-Za-z0-9.:-]+$/;

export function host(about: About) {
  return text(ADDRESS, 'an IP address or a host name', about);
}

export function port(about: About) {
  return count('port', 0, 65535, about);
}

export function publicPort(standard: number) {
  return Type.Object({
    host: host({ description: 'Address of the public port.', default: '127.0.0.1' }),
    port: port({ description: 'The public port; 0 takes a free one.', default: standard }),
  });
}

export function adminPort(standard: number, description: string, danger: string) {
  return Type.Object({
    host: host({ description: `Address of the admin port: ${description}.`, default: '127.0.0.1', danger }),
    port: port({ description: 'The admin port; 0 takes a free one.', default: standard }),
  });
}

/** One port for two servers is a mistake, which `problems` gets. */
export function checkPorts(listen: Address, admin: Address, problems: string[]): void {
  if (listen.port === 0 || listen.port !== admin.port || listen.host !== admin.host) return;
  problems.push(`"listen" and "admin" are both ${listen.host}:${listen.port}: give the admin port another one`);
}

export function trustProxy() {
  // The names are those that Fastify knows.
  const isProxy = (item: string) => ['loopback', 'linklocal', 'uniquelocal'].includes(item) || isAddressRange(item);
  return list(isProxy, 'IP addresses or ranges (10.0.0.0/8), or loopback, linklocal, uniquelocal', {
    description: "Addresses of proxies whose `X-Forwarded-For` is trusted when a client's address is needed.",
    default: [],
    danger: 'A client that connects from one of these can claim any address, and so get around the rate limit.',
  });
}

export const sharedAddressDanger = 'Behind a proxy that `trustProxy` does not name, all clients share one address.';

/** What every service that logs has in its group `log`. */
export function logSettings() {
  return {
    level: choice(LOG_LEVELS.toReversed(), {
      description: 'Least severe message that is logged.',
      default: 'info',
    }),
    format: choice(LOG_FORMATS, {
      description:
        'How the log on stderr is written: `pretty` for people, `json` with one object a line for programs, `auto` for `pretty` at a terminal and `json` elsewhere.',
      default: 'auto',
    }),
  };
}

/** An IP address, or a range of addresses such as `10.0.0.0/8`. */
export function isAddressRange(item: string): boolean {
  const [address = '', prefix, ...rest] = item.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^(0|[1-9][0-9]{0,2})$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}
