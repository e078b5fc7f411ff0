/**
 * A client of the SPIFFE Workload API: SPIFFE Workload Endpoint sections 3, 5 and 6; SPIFFE Workload API section 4.
 *
 * Each attempt opens a connection of its own. gRPC would keep one alive behind a socket whose file another agent replaced.
 */
import { createRequire } from 'node:module';
import type * as Grpc from '@grpc/grpc-js';
import { printable } from '../../../printable.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import { type WorkloadCalls, workloadCall } from './workload-messages.ts';
import type { WorkloadSocket } from './workload-socket.ts';

/** How a call ended. */
interface WorkloadEnd {
  /** For people, with the name of the call and of the socket. */
  readonly problem: string;
  /** False where the same call would fail again: the API does not know it, or finds it wrong. */
  readonly mayRetry: boolean;
  /** True where this process has no identity, or has it no more. */
  readonly denied: boolean;
}

/** Most bytes of a message. */
const MAX_MESSAGE = 4 * 1_048_576;
/** Every request has this header: Workload Endpoint section 3. */
const SECURITY_HEADER = 'workload.spiffe.io';

/** Codes of gRPC. */
const STATUS = {
  ok: 0,
  cancelled: 1,
  invalidArgument: 3,
  deadlineExceeded: 4,
  permissionDenied: 7,
  resourceExhausted: 8,
  unimplemented: 12,
  unavailable: 14,
} as const;

type StreamName = 'FetchX509SVID' | 'FetchX509Bundles' | 'FetchJWTBundles';

interface StreamOptions<Name extends StreamName> {
  /** How long to wait for the first message, which the API must send at once (section 4.3). */
  readonly firstMs: number;
  readonly signal: AbortSignal;
  /** Called with each message. */
  readonly onMessage: (message: WorkloadCalls[Name][1]) => void;
  /** Called with what is wrong with bytes that are no message. The stream goes on. */
  readonly onMalformed: (problem: string) => void;
}

/** Listens to a stream until it ends; undefined where the signal ended it. Never rejects. */
export async function listenTo<Name extends StreamName>(
  socket: WorkloadSocket,
  name: Name,
  { firstMs, signal, onMessage, onMalformed }: StreamOptions<Name>,
): Promise<WorkloadEnd | undefined> {
  if (signal.aborted) return undefined;
  const { path, request, response } = workloadCall(name);
  let client: Grpc.Client;
  try {
    client = connect(socket);
  } catch (error) {
    return { problem: (error as Error).message, mayRetry: false, denied: false };
  }
  return await new Promise<WorkloadEnd | undefined>((resolve) => {
    let ended = false;
    const end = (how: WorkloadEnd | undefined) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      stream.cancel();
      client.close();
      resolve(how);
    };
    const onAbort = () => end(undefined);
    const timer = setTimeout(() => {
      const problem = `the Workload API at ${socket.name} sent nothing for ${name} within ${firstMs / 1000} s`;
      end({ problem, mayRetry: true, denied: false });
    }, firstMs);
    const stream = client.makeServerStreamRequest<Parameters<typeof request.encode>[0], Buffer>(
      path,
      request.encode,
      // Malformed bytes must not end the stream: gRPC would report them as an error of the server.
      (bytes) => bytes,
      {} as Parameters<typeof request.encode>[0],
      header(),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    stream.on('data', (bytes: Buffer) => {
      if (ended) return;
      clearTimeout(timer);
      let message: WorkloadCalls[Name][1];
      try {
        message = response.decode(bytes);
      } catch {
        onMalformed(`the Workload API at ${socket.name} answers ${name} with bytes that are no message of it`);
        return;
      }
      onMessage(message);
    });
    stream.on('error', (error: Grpc.ServiceError) => end(endOf(error, name, socket)));
    stream.on('end', () => {
      end({ problem: `the Workload API at ${socket.name} ended ${name}`, mayRetry: true, denied: false });
    });
  });
}

/**
 * The JWT-SVIDs for an audience.
 * @throws RuntimeError `workload-api`; the message holds no part of a token
 */
export async function fetchJwtSvids(
  socket: WorkloadSocket,
  request: WorkloadCalls['FetchJWTSVID'][0],
  timeoutMs: number,
): Promise<WorkloadCalls['FetchJWTSVID'][1]['svids']> {
  const name = 'FetchJWTSVID';
  const { path, request: codec, response } = workloadCall(name);
  const client = connect(socket);
  try {
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      const options = { deadline: Date.now() + timeoutMs };
      client.makeUnaryRequest<typeof request, Buffer>(
        path,
        codec.encode,
        (answer) => answer,
        request,
        header(),
        options,
        (error, answer) => {
          if (error !== null) reject(new RuntimeError('workload-api', endOf(error, name, socket).problem));
          else resolve(answer ?? Buffer.alloc(0));
        },
      );
    });
    return response.decode(bytes).svids;
  } catch (error) {
    if (error instanceof RuntimeError) throw error;
    // The cause would hold a piece of the token.
    throw new RuntimeError(
      'workload-api',
      `the Workload API at ${socket.name} answers ${name} with bytes that are no message of it`,
    );
  } finally {
    client.close();
  }
}

function connect({ target }: WorkloadSocket): Grpc.Client {
  const { Client, credentials } = loadGrpc();
  return new Client(target, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_MESSAGE,
    'grpc.max_send_message_length': MAX_MESSAGE,
    'grpc.enable_retries': 0,
    // Another client's pause after a failure would count for this one.
    'grpc.use_local_subchannel_pool': 1,
    // The variables of the environment would lead the private key to another machine.
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    'grpc.default_authority': 'localhost',
  });
}

function header(): Grpc.Metadata {
  const metadata = new (loadGrpc().Metadata)();
  metadata.set(SECURITY_HEADER, 'true');
  return metadata;
}

function endOf({ code, details }: Grpc.ServiceError, name: string, socket: WorkloadSocket): WorkloadEnd {
  const at = `the Workload API at ${socket.name}`;
  const said = printable(details ?? '').slice(0, 200);
  switch (code) {
    case STATUS.permissionDenied:
      return { problem: `${at} has no identity for this process (${said})`, mayRetry: true, denied: true };
    case STATUS.invalidArgument:
      return { problem: `${at} finds the request ${name} wrong (${said})`, mayRetry: false, denied: false };
    case STATUS.unimplemented:
      return { problem: `${at} does not know the call ${name}`, mayRetry: false, denied: false };
    case STATUS.deadlineExceeded:
      return { problem: `${at} does not answer ${name} in time`, mayRetry: true, denied: false };
    case STATUS.resourceExhausted:
      return { problem: `${at} answers ${name} with too much, or is busy (${said})`, mayRetry: true, denied: false };
    case STATUS.unavailable:
      return { problem: `${at} cannot be reached (${said})`, mayRetry: true, denied: false };
    default:
      return { problem: `${at} ended ${name} with an error (${code}: ${said})`, mayRetry: true, denied: false };
  }
}

let grpc: typeof Grpc | undefined;

/** The gRPC client, which the build puts below dist/ (bundle.js says why). Loading takes 100 ms. */
function loadGrpc(): typeof Grpc {
  if (grpc !== undefined) return grpc;
  try {
    grpc = createRequire(import.meta.url)('#grpc') as typeof Grpc;
    return grpc;
  } catch (cause) {
    throw new RuntimeError('package', 'the gRPC client cannot be loaded: in a checkout, run "npm run build"', {
      cause,
    });
  }
}
