/** Settings that every service has, written once. */
import { isIP } from 'node:net';
import { Type } from 'typebox';
import { PROXY_RANGES } from '../service/client-address.ts';
import { LOG_FORMATS, LOG_LEVELS } from '../service/logger.ts';
import type { Address } from '../service/ports.ts';
import { type About, choice, count, duration, list, onOff, path, size, text } from './values.ts';

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

/** Names of a port that only programs may call. @param group the group of settings of the port */
export function hosts(group: string) {
  return list((item) => ADDRESS.test(item), 'host names or IP addresses, without a port', {
    description: `Further names in the \`Host\` header of requests to this port, for a Prometheus or a probe on another host. Loopback, \`${group}.host\` and the address that the port is bound to are always taken.`,
    default: [],
    danger: 'A name that others control lets their web pages read this port.',
  });
}

export function adminPort(standard: number, description: string, danger: string) {
  return Type.Object(adminMembers(standard, description, danger));
}

function adminMembers(standard: number, description: string, danger: string) {
  return {
    host: host({ description: `Address of the admin port: ${description}.`, default: '127.0.0.1', danger }),
    port: port({ description: 'The admin port; 0 takes a free one.', default: standard }),
    hosts: hosts('admin'),
  };
}

/** The admin port of a service whose operators may be known by their identity. */
export function identifiedAdminPort(standard: number, description: string, danger: string) {
  return Type.Object({
    ...adminMembers(standard, description, danger),
    tls: onOff({
      description:
        'The admin port speaks TLS with the certificate of `tls`. With `identity.file`, its calls then need the action `admin` of the access policy, and reading metrics and lists needs `read`; `/healthz` and `/readyz` need nothing.',
      default: false,
    }),
    token: onOff({
      description:
        'Calls with the token in `admin.token` in the data directory are taken, besides those by identity. With `false` no token is made, and one is refused.',
      default: true,
      danger: 'The token has no end: anybody who reads it can make these calls.',
    }),
  });
}

/** The files that say who may call a service. @param calls what needs an identity then */
export function identityFiles(calls: string) {
  return Type.Object({
    file: Type.Optional(
      path({
        description: `Requires an identity of callers: a file that says whose identities are taken (docs/identity.md). It is about ${calls}. Needs \`identity.access\` and \`tls\`.`,
        defaultText: 'none: everybody who reaches the port may call',
      }),
    ),
    access: Type.Optional(
      path({
        description: 'Access policy: who may call for what (docs/identity.md). A reload reads it again.',
        defaultText: 'none',
        danger: 'What no rule allows is refused.',
      }),
    ),
  });
}

/** The two files, or neither. Mistakes go to `problems`. @param hasTls whether the service has a certificate */
export function identityFilesOf(
  { file, access }: { readonly file?: string; readonly access?: string },
  hasTls: boolean,
  problems: string[],
): { readonly file: string; readonly access: string } | undefined {
  if (file !== undefined && access === undefined)
    problems.push('"identity.file" also needs "identity.access", which says who may call for what');
  if (file === undefined && access !== undefined)
    problems.push('"identity.access" also needs "identity.file", which says whose identities are taken');
  if (file === undefined || access === undefined) return undefined;
  if (!hasTls)
    problems.push('"identity.file" needs a certificate in "tls": a caller shows who it is in the TLS handshake');
  return { file, access };
}

interface AdminAccess {
  readonly tls: boolean;
  readonly token: boolean;
}

/** Mistakes of the admin port go to `problems`. @param has what the service has besides */
export function checkAdminAccess(
  admin: AdminAccess,
  has: { readonly tls: boolean; readonly identity: boolean },
  problems: string[],
): void {
  if (admin.tls && !has.tls) problems.push('"admin.tls" is true, but "tls" has no certificate');
  if (!admin.token && !(has.identity && admin.tls)) {
    problems.push(
      '"admin.token" is false, so nobody could call: set "identity.file", "identity.access" and "admin.tls", which take operators by identity',
    );
  }
}

/** One port for two servers is a mistake, which `problems` gets. */
export function checkPorts(listen: Address, admin: Address, problems: string[]): void {
  if (listen.port === 0 || listen.port !== admin.port || listen.host !== admin.host) return;
  problems.push(`"listen" and "admin" are both ${listen.host}:${listen.port}: give the admin port another one`);
}

export function trustProxy() {
  const isProxy = (item: string) => Object.hasOwn(PROXY_RANGES, item) || isAddressRange(item);
  return list(isProxy, 'IP addresses or ranges (10.0.0.0/8), or loopback, linklocal, uniquelocal', {
    description: "Addresses of proxies whose `X-Forwarded-For` is trusted when a client's address is needed.",
    default: [],
    danger: 'A client that connects from one of these can claim any address, and so get around the rate limit.',
  });
}

export const sharedAddressDanger = 'Behind a proxy that `trustProxy` does not name, all clients share one address.';

/** The free space below which a service is not ready. */
export function minFree(standard: string) {
  return size('0B', '1024GiB', {
    description: '`/readyz` turns red when the disk of `data` has less room than this; with 0 it never does for that.',
    default: standard,
  });
}

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

/** The share of one address in `limits.connections`. @param proxied whether the service has the setting `trustProxy` */
export function connectionsPerAddress(proxied = true) {
  const proxies = proxied ? ' Those of a proxy of `trustProxy` do not count.' : '';
  return Type.Optional(
    count('connections', 1, 1_000_000, {
      description: `Open connections of one address (an IPv6 address counts with its /64); more are closed at once.${proxies} When all connections are taken, the address with the most loses one to an address with fewer.`,
      defaultText: 'three quarters of `limits.connections`',
    }),
  );
}

/** The share of one address in `limits.bodiesBytes`. */
export function bodiesBytesPerAddress(least: string) {
  return Type.Optional(
    size(least, '64GiB', {
      description:
        'Request bodies of one address that are held in memory at one time; past it that address gets 429. An IPv6 address counts with its /64, and behind a proxy of `trustProxy` the forwarded address counts.',
      defaultText: 'three quarters of `limits.bodiesBytes`',
    }),
  );
}

export function bodyRate() {
  return size('1B', '1MiB', {
    description: 'Bytes of a body that must come in each second, over each `limits.bodyGrace`; a slower one gets 408.',
    default: '1KiB',
  });
}

export function bodyGrace() {
  return duration('1s', '10m', {
    description: 'The time over which `limits.bodyRate` is measured, again and again until the body is whole.',
    default: '5s',
  });
}

/** An IP address, or a range of addresses such as `10.0.0.0/8`. */
export function isAddressRange(item: string): boolean {
  const [address = '', prefix, ...rest] = item.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^(0|[1-9][0-9]{0,2})$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}
