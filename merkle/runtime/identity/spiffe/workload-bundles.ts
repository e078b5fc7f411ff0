/** The trust bundles that a Workload API gives: X.509 authorities and JWT authorities by two streams, joined by trust domain. */
import { parseCertificateList } from '../../../spiffe/certificate-list.ts';
import { parseTrustDomain } from '../../../spiffe/spiffe-id.ts';
import { bundleOfCertificates, parseJwtBundle, type SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import { RuntimeError } from '../../runtime-errors.ts';
import type { Clock } from '../../service/back-off.ts';
import type { BundleBoard } from './bundle-board.ts';
import type { BundlesResponse } from './workload-messages.ts';
import type { WorkloadSocket } from './workload-socket.ts';
import { WorkloadStream } from './workload-stream.ts';

export const WORKLOAD_API_PART = 'workload-api';
const JWT_PART = 'workload-api-jwt';
const MAX_DOMAINS = 256;
/** As many as a bundle takes: spiffe/trust-bundle.ts. */
const MAX_AUTHORITIES = 64;
/** How often the streams are opened again: an API that hangs shows only then. */
const RENEW_MS = 600_000;

interface Options {
  readonly board: BundleBoard;
  readonly clock: Clock;
  readonly firstMs: number;
}

type Bundles = ReadonlyMap<string, SpiffeBundle>;

export class WorkloadBundles {
  readonly #board: BundleBoard;
  readonly #streams: readonly [WorkloadStream<'FetchX509Bundles'>, WorkloadStream<'FetchJWTBundles'>];
  readonly #timer: NodeJS.Timeout;
  #x509: Bundles = new Map();
  #jwt: Bundles = new Map();

  constructor(socket: WorkloadSocket, { board, clock, firstMs }: Options) {
    this.#board = board;
    const take = (use: (bundles: Bundles) => void, read: typeof readX509) => ({
      take: (message: BundlesResponse) => {
        use(bundlesOf(message, read));
        this.#put();
      },
      deny: () => {
        use(new Map());
        this.#put();
      },
      clock,
      firstMs,
    });
    this.#streams = [
      new WorkloadStream(socket, 'FetchX509Bundles', {
        ...take((bundles) => {
          this.#x509 = bundles;
        }, readX509),
        onProblem: (problem) => board.say(WORKLOAD_API_PART, problem),
      }),
      new WorkloadStream(socket, 'FetchJWTBundles', {
        ...take((bundles) => {
          this.#jwt = bundles;
        }, parseJwtBundle),
        onProblem: (problem) => board.say(JWT_PART, problem),
      }),
    ];
    this.#timer = setInterval(() => {
      for (const stream of this.#streams) stream.renew();
    }, RENEW_MS).unref();
  }

  /** Resolves when both streams have given their first message or failed. */
  get tried(): Promise<void> {
    return Promise.all(this.#streams.map(({ tried }) => tried)).then(() => {});
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#streams.map((stream) => stream.close()));
  }

  #put(): void {
    const joined = new Map(this.#x509);
    for (const [name, jwt] of this.#jwt) {
      const { jwtAuthorities, passedOver } = jwt;
      const x509 = joined.get(name);
      joined.set(name, x509 === undefined ? jwt : { ...x509, jwtAuthorities, passedOver });
    }
    this.#board.put(WORKLOAD_API_PART, joined);
  }
}

function readX509(bytes: Uint8Array, trustDomain: string): SpiffeBundle {
  return bundleOfCertificates(parseCertificateList(bytes, MAX_AUTHORITIES), trustDomain);
}

/** @throws MerkleError, RuntimeError `workload-api`: no part of the message is used */
function bundlesOf({ bundles }: BundlesResponse, read: typeof readX509): Bundles {
  const entries = Object.entries(bundles);
  // The field is mandatory: section 5.2.2.
  if (entries.length === 0) throw new RuntimeError('workload-api', 'a message without bundles');
  if (entries.length > MAX_DOMAINS)
    throw new RuntimeError('workload-api', `bundles of more than ${MAX_DOMAINS} trust domains`);
  const pairs = entries.map(([id, bytes]) => {
    const trustDomain = parseTrustDomain(id);
    return [trustDomain, read(bytes, trustDomain)] as const;
  });
  // A trust domain has two spellings, with and without its scheme.
  const found = new Map(pairs);
  if (found.size < pairs.length) throw new RuntimeError('workload-api', 'two bundles of one trust domain');
  return found;
}
