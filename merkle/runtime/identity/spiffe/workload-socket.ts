/**
 * The address of a Workload API: SPIFFE Workload Endpoint section 4. The specification has a URI. Some clients take only a
 * bare path in the same environment variable, so both spellings mean the same here.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { printable } from '../../../printable.ts';
import { RuntimeError } from '../../runtime-errors.ts';

export interface WorkloadSocket {
  /** As gRPC names it: `unix:/run/agent.sock`, `ipv4:127.0.0.1:8081`. */
  readonly target: string;
  /** For people. */
  readonly name: string;
}

/** The address where no setting has one: Workload Endpoint section 4. Undefined where the environment has none. */
export function workloadApiOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  return env.SPIFFE_ENDPOINT_SOCKET || undefined;
}

/** @param text `unix:///run/agent.sock`, `/run/agent.sock` or `tcp://127.0.0.1:8081` @throws RuntimeError `config` */
export function parseWorkloadSocket(text: string): WorkloadSocket {
  if (text.startsWith('/')) return ofPath(text, text);
  const [, scheme, rest] = /^(unix|tcp):(.*)$/s.exec(text) ?? [];
  if (rest === undefined) throw bad(text, 'is neither a URI of the scheme unix or tcp nor an absolute path');
  if (/[?#]/.test(rest)) throw bad(text, 'has a query or a fragment');
  if (scheme === 'tcp') return ofAddress(rest, text);
  const [, path] = /^(?:\/\/)?(\/(?!\/).*)$/s.exec(rest) ?? [];
  if (path === undefined) throw bad(text, 'is not "unix://" and an absolute path');
  let plain: string;
  try {
    plain = decodeURIComponent(path);
  } catch {
    throw bad(text, 'has a malformed percent-encoding');
  }
  return ofPath(plain, text);
}

function ofPath(path: string, text: string): WorkloadSocket {
  if (path.includes('\0') || path === '/') throw bad(text, 'has no path of a socket');
  return { target: `unix:${path}`, name: printable(path) };
}

function ofAddress(rest: string, text: string): WorkloadSocket {
  const [, six, four, digits] = /^\/\/(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(rest) ?? [];
  const port = Number(digits);
  if (!(port >= 1 && port <= 65_535)) throw bad(text, 'is not "tcp://", an IP address, ":" and a port');
  if (four !== undefined && isIPv4(four)) return { target: `ipv4:${four}:${port}`, name: `${four}:${port}` };
  if (six !== undefined && isIPv6(six)) return { target: `ipv6:[${six}]:${port}`, name: `[${six}]:${port}` };
  throw bad(text, 'has no IP address');
}

function bad(text: string, why: string): RuntimeError {
  return new RuntimeError(
    'config',
    `the address "${printable(text)}" of the Workload API ${why}: write unix:///path/of/agent.sock, /path/of/agent.sock or tcp://127.0.0.1:8081`,
  );
}
