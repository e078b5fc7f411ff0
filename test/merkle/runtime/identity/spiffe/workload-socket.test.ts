import { describe, expect, it } from 'vitest';
import { parseWorkloadSocket, workloadApiOf } from '../../../../../merkle/runtime/identity/spiffe/workload-socket.ts';

describe('the address of a Workload API', () => {
  it.each([
    ['unix:///run/agent.sock', 'unix:/run/agent.sock'],
    ['unix:/run/agent.sock', 'unix:/run/agent.sock'],
    ['/run/agent.sock', 'unix:/run/agent.sock'],
    ['unix:///run/a%20b.sock', 'unix:/run/a b.sock'],
    ['/run/a b%20.sock', 'unix:/run/a b%20.sock'],
    ['tcp://127.0.0.1:8081', 'ipv4:127.0.0.1:8081'],
    ['tcp://[::1]:8081', 'ipv6:[::1]:8081'],
  ])('%s is %s', (text, target) => {
    expect(parseWorkloadSocket(text).target).toBe(target);
  });

  it.each([
    '',
    'agent.sock',
    './agent.sock',
    'unix://agent.sock',
    'unix://host/run/agent.sock',
    'unix:agent.sock',
    'unix:',
    'unix:///',
    '/',
    'unix:////run/agent.sock',
    'unix:///run/agent.sock?a',
    'unix:///run/agent.sock#a',
    'unix:///run/%zz',
    'unix:///run/%00',
    'UNIX:///run/agent.sock',
    'tcp://localhost:8081',
    'tcp://127.0.0.1',
    'tcp://127.0.0.1:0',
    'tcp://127.0.0.1:65536',
    'tcp://127.0.0.1:8081/',
    'tcp://127.0.0.1:8081/foo',
    'tcp://me@127.0.0.1:8081',
    'tcp://127.0.0.256:8081',
    'tcp://[::1]',
    'tcp://[::1%25lo]:8081',
    'tcp:127.0.0.1:8081',
    'http://127.0.0.1:8081',
    'dns:agent:8081',
    ' /run/agent.sock',
  ])('is not %j', (text) => {
    expect(() => parseWorkloadSocket(text)).toThrow(expect.objectContaining({ name: 'RuntimeError', code: 'config' }));
  });

  it('comes from the environment where nothing else says it', () => {
    expect(workloadApiOf({ SPIFFE_ENDPOINT_SOCKET: '/run/agent.sock' })).toBe('/run/agent.sock');
    expect(workloadApiOf({ SPIFFE_ENDPOINT_SOCKET: '' })).toBeUndefined();
    expect(workloadApiOf({})).toBeUndefined();
  });
});
