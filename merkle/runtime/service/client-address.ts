/** Which client a request is from, and which addresses count as one client. */
import type { IncomingMessage } from 'node:http';
import { BlockList, isIP, type Socket } from 'node:net';
import { Window } from './window.ts';

/** The names that `trustProxy` takes beside addresses: loopback, RFC 3927 and RFC 4291, RFC 1918 and RFC 4193. */
export const PROXY_RANGES = {
  loopback: ['127.0.0.1/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
} as const satisfies Record<string, readonly string[]>;

/** Requests of one client that are refused for its rate, in one window, before it is cut off. */
export const MAX_REFUSALS = 1000;

/** Milliseconds of the windows in which a client is shut out. */
const SHUT_OUT_MS = 10_000;

/** Bits of an address are in groups of 16. One site has at least the lower 64 bits of an IPv6 address to itself. */
const IPV6_GROUPS = 8;
const SITE_GROUPS = 4;

/**
 * The client that an address stands for: an IPv4 address itself, an IPv6 address its /64, since a single machine can take any
 * address of that. An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) is the IPv4 address.
 */
function clientOf(address: string): string {
  const plain = unmapped(address);
  if (isIP(plain) !== 6) return plain;
  const site = groupsOf(plain).slice(0, SITE_GROUPS);
  return `${site.map((group) => group.toString(16)).join(':')}::/64`;
}

/** Finds the client of a request behind the proxies of `trustProxy`, and remembers which clients get no connection. */
export class ClientAddresses {
  readonly #shutOut = new Window(() => SHUT_OUT_MS);
  #onShutOut: (client: string, but: Socket) => void = () => {};
  readonly #proxies = new BlockList();
  readonly #any: boolean;
  /** By connection: reading the address of a socket is a system call. */
  readonly #peers = new WeakMap<Socket, { readonly client: string; readonly proxy: boolean }>();

  /** @param trustProxy addresses, ranges such as `10.0.0.0/8`, and the names in `PROXY_RANGES` */
  constructor(trustProxy: readonly string[]) {
    this.#any = trustProxy.length > 0;
    const ranges = trustProxy.flatMap((item) => PROXY_RANGES[item as keyof typeof PROXY_RANGES] ?? [item]);
    for (const range of ranges) {
      const [address = '', prefix] = range.split('/');
      const family = isIP(address);
      this.#proxies.addSubnet(address, Number(prefix ?? (family === 4 ? 32 : 128)), family === 4 ? 'ipv4' : 'ipv6');
    }
  }

  /** The client of the connection, and whether the client is a trusted proxy. */
  peerOf(socket: Socket): { readonly client: string; readonly proxy: boolean } {
    let peer = this.#peers.get(socket);
    if (peer === undefined) {
      const address = socket.remoteAddress ?? '';
      peer = { client: clientOf(address), proxy: this.#isProxy(address) };
      this.#peers.set(socket, peer);
    }
    return peer;
  }

  /** The client of the request, for shares and rates: see `clientOf`. */
  of(request: IncomingMessage): string {
    const { client, proxy } = this.peerOf(request.socket);
    return proxy ? clientOf(this.addressOf(request)) : client;
  }

  /** The client of the request gets no new connection for up to 10 s, and loses the open ones that wait for it. For requests whose cost no other limit bounds. */
  shutOut(request: IncomingMessage): void {
    const client = this.of(request);
    if (this.isShutOut(client)) return;
    this.#shutOut.count(client);
    this.#onShutOut(client, request.socket);
  }

  /** Ends the connection of the request as well, unless it is one of a trusted proxy. */
  cutOff(request: IncomingMessage): void {
    if (this.peerOf(request.socket).proxy) return;
    this.shutOut(request);
    request.socket.destroy();
  }

  /** `cut` closes the open connections of a client that is shut out now, but for the one that is answered why. */
  onShutOut(cut: (client: string, but: Socket) => void): void {
    this.#onShutOut = cut;
  }

  isShutOut(client: string): boolean {
    return this.#shutOut.isFull(client, 1);
  }

  /**
   * The address of the request's client. Each trusted proxy appends to `X-Forwarded-For` the address that it was called from, so
   * the client is the last address in it that is not a proxy's. What stands before that address came from the client.
   */
  addressOf(request: IncomingMessage): string {
    let address = request.socket.remoteAddress ?? '';
    const forwarded = request.headers['x-forwarded-for'];
    const hops = typeof forwarded === 'string' ? forwarded.split(',') : [];
    while (this.#isProxy(address)) {
      const hop = withoutPort(hops.pop()?.trim() ?? '');
      if (isIP(hop) === 0) break;
      address = hop;
    }
    return unmapped(address);
  }

  #isProxy(address: string): boolean {
    if (!this.#any) return false;
    const plain = unmapped(address);
    const family = isIP(plain);
    return family !== 0 && this.#proxies.check(plain, family === 4 ? 'ipv4' : 'ipv6');
  }
}

/** Some proxies forward the port too: `192.0.2.1:1234`, `[2001:db8::1]:1234`. */
function withoutPort(hop: string): string {
  const [, ipv6, ipv4] = /^(?:\[([^\]]+)\](?::\d+)?|([\d.]+):\d+)$/.exec(hop) ?? [];
  return ipv6 ?? ipv4 ?? hop;
}

/** The IPv4 address of an IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), and any other text as it is. */
function unmapped(address: string): string {
  if (isIP(address) !== 6) return address;
  const groups = groupsOf(address);
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  if (!mapped) return address;
  const [high, low] = groups.slice(6) as [number, number];
  return [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
}

/** The eight groups of a valid IPv6 address, without its zone. */
function groupsOf(address: string): number[] {
  const text = address.replace(/%.*$/s, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a, b, c, d] = bytes.map(Number) as [number, number, number, number];
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [before = '', after] = text.split('::');
  const parse = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  const left = parse(before);
  if (after === undefined) return left;
  const right = parse(after);
  return [...left, ...Array<number>(IPV6_GROUPS - left.length - right.length).fill(0), ...right];
}
