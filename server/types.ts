/** The plain values that the stages and the HTTP layer hand each other. */
import type { RequestError, RequestErrorCode } from './errors.ts';
import type { LogStatus, NewEntry } from './store/types.ts';

/** What a log takes: signed entries of Rekor v2, or opaque ones. */
export type EntryKind = 'signed' | 'raw';

/** How a request body is to be read: one CreateEntryRequest, or `{"requests": [...]}` of up to `limits.bulkItems`. */
export type Encoding = 'json' | 'protobuf' | 'json-batch' | 'protobuf-batch';

/** A request that ingest refused. `reason` is a short fixed label for metrics, `message` goes to the client. */
export interface Refusal {
  readonly code: RequestErrorCode;
  readonly reason: string;
  readonly message: string;
}

/** What ingest made of one CreateEntryRequest: the entries to log (a DSSE envelope gives one a signature), or why not. */
export type Ingested = { readonly entries: readonly NewEntry[] } | { readonly refusal: Refusal };

/** What ingest made of one body: the items of a batch, or one item; a refusal where the body as a whole is wrong. */
export type IngestedBody = { readonly items: readonly Ingested[] } | { readonly refusal: Refusal };

/** A logged entry with its proof to one published checkpoint, already checked by the log itself. */
export interface LoggedEntry {
  readonly index: number;
  readonly body: Uint8Array;
  readonly proof: InclusionProof;
  /** It was in the log before this request came. */
  readonly duplicate: boolean;
}

export interface InclusionProof {
  /** Size of the tree that the proof leads to. */
  readonly treeSize: number;
  readonly root: Uint8Array;
  /** Sibling hashes from the leaf upwards, 32 bytes each, at most 63. */
  readonly hashes: readonly Uint8Array[];
  /** The published checkpoint (signed note) over that tree. */
  readonly checkpoint: string;
}

/** The outcome of one item: the entry, or an error that the client may see. */
export type Outcome = { readonly entry: LoggedEntry } | { readonly error: RequestError };

/** What `GET /stele/v1/log` tells. */
export interface LogInfo {
  readonly origin: string;
  /** Verifier keys of c2sp.org/signed-note, the log's own key first. */
  readonly verifierKeys: readonly string[];
  /** SHA-256 log ID of WIRE.md ("Origin and log ID"), 32 bytes. */
  readonly logId: Uint8Array;
  readonly status: LogStatus;
  readonly entries: EntryKind;
}

/** What the HTTP layer needs from the log; `Log` in log.ts is the one that runs. */
export interface LogService {
  readonly info: LogInfo;
  /** Published size, in entries. */
  readonly publishedSize: number;
  /**
   * Takes one body through ingest to the published proof. Rejects with `RequestError` where the body as a whole fails
   * (`malformed`, `too-large`, `pushback`, `frozen`, `draining`); else resolves with an outcome an item.
   */
  submit(body: Uint8Array, encoding: Encoding): Promise<readonly Outcome[]>;
  /**
   * Appends `body`, 1 to 65,535 bytes, as it is; resolves with its index once it is committed. Publication follows. The
   * same bytes again get the index that they have. Only where `info.entries` is `raw`; rejects with `RequestError`.
   */
  add(body: Uint8Array): Promise<number>;
  /** The published checkpoint: a signed note, as text. */
  readonly checkpoint: string;
  /** Tile at level 0..63: `width` hashes of 32 bytes, or undefined where the published tree does not have it. */
  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined>;
  /** Entry bundle with `width` entries, or undefined where the published tree does not have it. */
  entryBundle(index: number, width: number): Promise<Uint8Array | undefined>;
  /**
   * The tile or bundle at `path`, as `tile/0/x001/234`, where it needs no waiting and the published tree has it. Undefined
   * says nothing: ask `tile` or `entryBundle`. Any text is a path.
   */
  atHand(path: string): Uint8Array | undefined;
  /** The entry with a proof to the present checkpoint, or undefined where the published tree does not have it. */
  entry(index: number): Promise<LoggedEntry | undefined>;
  /** Requires 0 <= first <= second <= published size; else `invalid-argument`. */
  consistencyProof(first: number, second: number): Promise<Uint8Array[]>;
  /** Empty when all is well; else each reason in one sentence without anything internal. */
  notReady(): readonly string[];
  /** Goes on until the last checkpoint is stored, and resolves with it. Idempotent. */
  freeze(): Promise<string>;
  /** Copies a consistent state into the empty or missing directory `dir`; resolves with the size copied. */
  backup(dir: string): Promise<number>;
  /** Writes the complete static tree of the published checkpoint below `dir`; resolves with its size. */
  export(dir: string): Promise<number>;
  /** Takes no new entries from now on; resolves when all under way are answered. */
  drain(): Promise<void>;
  close(): Promise<void>;
}
