/**
 * Which addresses a client may connect to (a webhook, a redirect of a registry). The owner of a name in the DNS can
 * change the address at any moment. So the guard judges each address directly before the connection, and the connection goes
 * to exactly that address.
 *
 * Unless the configuration allows them, the guard refuses:
 * - every address that IANA's special-purpose registries (RFC 6890 and its updates) do not call global unicast: loopback,
 *   link-local (with the metadata service of clouds), private, shared, unique-local, multicast, documentation;
 * - the public address of Azure's metadata service;
 * - IPv6 addresses that wrap an IPv4 address (mapped, compatible, 6to4, Teredo). A NAT64 address (RFC 6052) counts as the
 *   address inside.
 */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { isAddressRange } from '../config/groups.ts';

const IPV4_REFUSED = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['168.63.129.16', 32],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const;
/** Within 2000::/3. The guard refuses everything outside of it. */
const IPV6_REFUSED = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const;
const NAMED: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
};

const refused4 = new BlockList();
for (const [net, prefix] of IPV4_REFUSED) refused4.addSubnet(net, prefix, 'ipv4');
const refused6 = new BlockList();
for (const [net, prefix] of IPV6_REFUSED) refused6.addSubnet(net, prefix, 'ipv6');
const global6 = new BlockList();
global6.addSubnet('2000::', 3, 'ipv6');

/** For settings: an address, a range of addresses, or one of the words `loopback` and `private`. */
export function isAllowedRange(item: string): boolean {
  return Object.hasOwn(NAMED, item) || (isAddressRange(item) && !item.includes('%'));
}

/** The guard refuses an address: thrown, or passed to the callback of `lookup`. */
class AddressRefused extends Error {
  override readonly name = 'AddressRefused';
  readonly code = 'ADDRESS_REFUSED';
}

export interface GuardOptions {
  /** In the form of `isAllowedRange`. */
  readonly allow: readonly string[];
  /** Permits only what `allow` lists, for connections without TLS. Default false. */
  readonly onlyAllowed?: boolean;
  /** Resolves names; the system's resolver by default. */
  readonly resolve?: typeof dnsLookup;
}

export class AddressGuard {
  readonly #allowed = new BlockList();
  readonly #onlyAllowed: boolean;
  readonly #resolve: typeof dnsLookup;

  constructor(options: GuardOptions) {
    for (const item of options.allow.flatMap((item) => NAMED[item] ?? [item])) {
      const [address, prefix] = item.split('/') as [string, string?];
      const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
      this.#allowed.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family);
    }
    this.#onlyAllowed = options.onlyAllowed ?? false;
    this.#resolve = options.resolve ?? dnsLookup;
  }

  /** Whether a connection may go to this literal address. False for any other text. */
  permits(address: string): boolean {
    const family = isIP(address);
    // A zone names an interface of this machine.
    if (family === 0 || address.includes('%')) return false;
    if (family === 4) return this.#permits4(address);
    const bytes = ipv6Bytes(address);
    const mapped = isPrefix(bytes, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
    // `allow` has the address in one of its two forms, and a socket shows either form.
    if (mapped) return this.#allowed.check(lastFour(bytes), 'ipv4');
    if (this.#allowed.check(address, 'ipv6')) return true;
    if (this.#onlyAllowed) return false;
    if (isPrefix(bytes, [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0])) return this.#permits4(lastFour(bytes));
    return global6.check(address, 'ipv6') && !refused6.check(address, 'ipv6');
  }

  /**
   * Checks the host of a parsed URL. Node connects to a literal address without a call of `lookup`. The URL parser has brought
   * every spelling (0x7f.1, 2130706433, [::ffff:7f00:1]) into one form.
   *
   * @throws AddressRefused: the host is a literal address that the guard refuses
   */
  checkLiteral(hostname: string): void {
    const literal = hostname.replace(/^\[(.*)\]$/, '$1');
    if (isIP(literal) > 0 && !this.permits(literal)) throw refusal(hostname);
  }

  /** The `lookup` option of node:http and node:https. One refused address refuses the name: no honest name mixes the two. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    this.#resolve(hostname, { ...options, all: true }, (error, addresses: readonly LookupAddress[]) => {
      if (error) return callback(error, '', 0);
      const [first] = addresses;
      if (first === undefined || addresses.some(({ address }) => !this.permits(address))) {
        return callback(refusal(hostname), '', 0);
      }
      if (options.all === true) return callback(null, [...addresses]);
      callback(null, first.address, first.family);
    });
  };

  #permits4(address: string): boolean {
    if (this.#allowed.check(address, 'ipv4')) return true;
    return !this.#onlyAllowed && !refused4.check(address, 'ipv4');
  }
}

function refusal(hostname: string): AddressRefused {
  return new AddressRefused(
    `${hostname} stands for an address that is not public, or for none: put the address into "allow" if that is meant`,
  );
}

function isPrefix(bytes: Uint8Array, prefix: readonly number[]): boolean {
  return prefix.every((byte, at) => bytes[at] === byte);
}

function lastFour(bytes: Uint8Array): string {
  return bytes.subarray(12).join('.');
}

/** Requires an IPv6 address by `isIP`, without a zone. */
function ipv6Bytes(address: string): Uint8Array {
  // The URL parser turns every form, with a dotted quad too, into groups of hexadecimal digits.
  const text = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = '', tail] = text.split('::');
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':'));
  const left = groups(head);
  const right = groups(tail);
  const all = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}
