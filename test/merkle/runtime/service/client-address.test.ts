import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { ClientAddresses } from '../../../../merkle/runtime/service/client-address.ts';

/** A request that came from `remoteAddress`, as much of it as the addresses are read from. */
function from(remoteAddress: string | undefined, forwarded?: string): IncomingMessage {
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  return { socket: { remoteAddress }, headers } as unknown as IncomingMessage;
}

const clientOf = (address: string | undefined) => new ClientAddresses([]).of(from(address));

describe('what counts as one client', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.255', '192.0.2.255'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    [undefined, ''],
  ])('%s is %s', (address, client) => {
    expect(clientOf(address)).toBe(client);
  });

  it('tells IPv4 addresses and /64s that are next to each other apart', () => {
    expect(clientOf('192.0.2.1')).not.toBe(clientOf('192.0.2.2'));
    expect(clientOf('2001:db8:1:2::1')).not.toBe(clientOf('2001:db8:1:3::1'));
  });
});

describe('behind proxies', () => {
  const clients = new ClientAddresses(['10.0.0.0/8', '192.0.2.7', 'loopback', '2001:db8::/32']);

  it.each([
    ['a client without a proxy', '198.51.100.1', undefined, '198.51.100.1'],
    ['a client that claims another address', '198.51.100.1', '203.0.113.9', '198.51.100.1'],
    ['a client that claims to be a proxy', '198.51.100.1', '203.0.113.9, 10.0.0.1', '198.51.100.1'],
    ['a client behind one proxy', '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['a client that lies to one proxy', '10.1.2.3', '203.0.113.9, 198.51.100.1', '198.51.100.1'],
    ['a client behind two proxies', '127.0.0.1', '203.0.113.9, 198.51.100.1,10.0.0.1', '198.51.100.1'],
    ['a proxy whose connection is IPv4 over IPv6', '::ffff:10.1.2.3', '::ffff:198.51.100.1', '198.51.100.1'],
    ['a proxy with IPv6', '2001:db8:5::1', '198.51.100.1', '198.51.100.1'],
    ['a client with IPv6', '192.0.2.7', '2001:db9:1:2::3', '2001:db9:1:2::/64'],
    ['a neighbor of a proxy', '192.0.2.8', '198.51.100.1', '192.0.2.8'],
    ['a proxy that names nobody', '10.1.2.3', undefined, '10.1.2.3'],
    ['a proxy that names no address', '10.1.2.3', '198.51.100.1, unknown', '10.1.2.3'],
    ['a proxy that forwards a port', '10.1.2.3', '203.0.113.9, 198.51.100.1:4711', '198.51.100.1'],
    ['a proxy that forwards a port of IPv6', '10.1.2.3', '[2001:db9:1:2::3]:4711', '2001:db9:1:2::/64'],
    ['a proxy that forwards IPv6 in brackets', '10.1.2.3', '[2001:db9:1:2::3]', '2001:db9:1:2::/64'],
    ['a proxy that forwards half an address', '10.1.2.3', '[2001:db9:1:2::3', '10.1.2.3'],
    ['a proxy that forwards another name', '10.1.2.3', '_hidden:4711', '10.1.2.3'],
    ['only proxies', '10.1.2.3', '10.0.0.9', '10.0.0.9'],
  ])('%s', (_, peer, forwarded, client) => {
    expect(clients.of(from(peer, forwarded))).toBe(client);
  });

  it('knows the connections of proxies', () => {
    expect(clients.peerOf(from('10.1.2.3').socket)).toEqual({ client: '10.1.2.3', proxy: true });
    expect(clients.peerOf(from('11.1.2.3').socket)).toEqual({ client: '11.1.2.3', proxy: false });
    expect(new ClientAddresses([]).peerOf(from('127.0.0.1').socket).proxy).toBe(false);
  });
});
