/** Where trust bundles and SVIDs come from. All sources follow rotation while they are open. */
import type { KeyObject } from 'node:crypto';
import type { SpiffeId } from '../../../spiffe/spiffe-id.ts';
import type { SpiffeBundle } from '../../../spiffe/trust-bundle.ts';
import type { Clock } from '../../service/back-off.ts';
import type { Logger } from '../../service/logger.ts';

/** The bundles of the trust domains that a service knows. */
export interface BundleSource {
  /** By trust domain. A domain whose bundle could not be had yet is missing; one that revoked all its keys has none. */
  current(): ReadonlyMap<string, SpiffeBundle>;
  /** Whether the bundle of a trust domain is missing because its source did not answer yet: a retry may succeed. */
  isAwaited(trustDomain: string): boolean;
  /** Why the newest bundles are not in use, in words for people; undefined where they are. */
  readonly problem: string | undefined;
  /** Calls `listener` after each change of `current`. Returns what ends that. */
  onChange(listener: () => void): () => void;
  close(): Promise<void>;
}

/** An X.509-SVID with its key. */
export interface Svid {
  readonly id: SpiffeId;
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
  /** Private. */
  readonly key: KeyObject;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/** The SVID of this process. */
export interface SvidSource {
  /** @throws RuntimeError `svid` where none is valid now */
  current(): Svid;
  /** Why the newest SVID is not in use, in words for people; undefined where it is. */
  readonly problem: string | undefined;
  /** Calls `listener` after each change of `current`. Returns what ends that. */
  onChange(listener: () => void): () => void;
  close(): Promise<void>;
}

/** The bundle of one trust domain, from a file or a URL. */
export interface TrustDomainSettings {
  /** `example.org` */
  readonly name: string;
  /**
   * A path, or an https URL. A file has a JWK set or certificates in PEM, a URL gives a JWK set: SPIFFE Federation section 5.
   */
  readonly bundle: string;
  /** With a URL, profile `https_web`: a file of PEM with the authorities of its server. Without it, those of Node. */
  readonly ca?: string | undefined;
  /** With a URL, profile `https_spiffe`: the ID of its server, whose trust domain must be configured too, or have `bootstrap`. */
  readonly endpointId?: string | undefined;
  /** With `endpointId`: a file with a bundle for the first connection. Later ones need the bundle that was fetched last. */
  readonly bootstrap?: string | undefined;
}

export interface BundleSettings {
  readonly trustDomains?: readonly TrustDomainSettings[] | undefined;
  /** A path of a SPIFFE bundle map, with the bundles of several trust domains. */
  readonly bundleMap?: string | undefined;
  /** The socket of a Workload API: `unix:///run/agent.sock`, `/run/agent.sock` or `tcp://127.0.0.1:8081`. */
  readonly workloadApi?: string | undefined;
}

/** Exactly one of `workloadApi` and `files`. */
export interface SvidSettings {
  readonly workloadApi?: string | undefined;
  /** Paths of PEM files: chain with the leaf first, private key, and optionally the bundle that the chain must lead to. */
  readonly files?: { readonly cert: string; readonly key: string; readonly bundle?: string | undefined } | undefined;
  /** With a Workload API that gives several SVIDs: the ID to use. Without it and `hint`, the first one. */
  readonly id?: string | undefined;
  /** With a Workload API that gives several SVIDs: the operator's name for the one to use. */
  readonly hint?: string | undefined;
}

export interface SourceDependencies {
  readonly logger?: Logger | undefined;
  readonly clock?: Clock | undefined;
  /** How long to wait for the first answer of a Workload API or a URL. Default 10,000 ms. */
  readonly firstMs?: number | undefined;
  /** How often files are looked at. Default 2,000 ms. */
  readonly watchMs?: number | undefined;
  /** Bounds of the time between two requests of a URL. Default 60,000 ms to a day; 300,000 ms where a bundle has no hint. */
  readonly refresh?: { readonly leastMs: number; readonly mostMs: number; readonly defaultMs: number } | undefined;
}
