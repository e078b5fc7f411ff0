import { describe, expect, it } from 'vitest';
import { hostName } from '../../../server/http/hosts.ts';

describe('the host of a Host header', () => {
  it.each([
    ['log.example.com', 'log.example.com'],
    ['Log.Example.COM:443', 'log.example.com'],
    ['log.example.com.', 'log.example.com'],
    ['log.example.com.:3000', 'log.example.com'],
    ['log.example.com:', 'log.example.com'],
    ['127.0.0.1:3000', '127.0.0.1'],
    ['[::1]:3000', '[::1]'],
    ['[2001:DB8::1]', '[2001:db8::1]'],
    // One dot is the root of names; two are no name of the log.
    ['log.example.com..', 'log.example.com.'],
  ])('%s is %s', (header, name) => expect(hostName(header)).toBe(name));
});
