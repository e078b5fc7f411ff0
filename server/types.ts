/** The plain values that the stages and the HTTP layer hand each other. */
import type { AccessEntry } from '../merkle/runtime/policy/access/types.ts';
import type { RequestError, RequestErrorCode } from './errors.ts';
import type { LogStatus, NewEntry } from './store/types.ts';

/** The entries that a log takes: signed entries of Rekor v2, or opaque bytes. */
export type EntryKind = 'signed' | 'raw';

/** The form of a request body: one CreateEntryRequest, or `{"requests": [...]}` of up to `limits.bulkItems`. */
export type Encoding = 'json' | 'protobuf' | 'json-batch' | 'protobuf-batch';

/** A request that ingest refused. `reason` is a short fixed label for metrics, `message` goes to the client. */
export interface Refusal {
  readonly code: RequestErrorCode;
  readonly reason: string;
  readonly message: string;
}

/** An entry that ingest made. */
export interface IngestedEntry extends NewEntry {
  /** Where the log judges writers: what is written, as its writer sent it. */
  readonly facts?: AccessEntry;
}

/** What ingest made of one CreateEntryRequest: the entries to log (one for each signature of a DSSE envelope), or a refusal. */
export type Ingested = { readonly entries: readonly IngestedEntry[] } | { readonly refusal: Refusal };

/** An entry that is committed, and what is kept of its write. */
export interface Written {
  readonly index: number;
  readonly leafHash: Uint8Array;
  readonly duplicate: boolean;
  /** The rule of the access policy that allowed it. */
  readonly rule: string;
}

/** The caller of a write whose identity is proven. */
export interface Writer {
  /**
   * The name of the rule by which the entries may be written together. They are counted.
   * @throws RequestError `not-allowed`, `caller-rate`
   */
  ruleFor(entries: readonly AccessEntry[]): string;
  /**
   * Keeps who wrote an entry that is committed, where that is configured.
   * @throws RequestError `record-failed`
   */
  record(written: Written): Promise<void> | undefined;
}

/** What ingest made of one body: the items of a batch, or one item; a refusal if the body as a whole is wrong. */
export type IngestedBody = { readonly items: readonly Ingested[] } | { readonly refusal: Refusal };

/** A logged entry with its proof to one published checkpoint, already checked by the log itself. */
export interface LoggedEntry {
  readonly index: number;
  readonly body: Uint8Array;
  readonly proof: InclusionProof;
  /** The entry was in the log before this request came. */
  readonly duplicate: boolean;
}

export interface InclusionProof {
  /** Size of the tree that the proof leads to, in entries. */
  readonly treeSize: number;
  readonly root: Uint8Array;
  /** Sibling hashes from the leaf upwards, 32 bytes each, at most 63. */
  readonly hashes: readonly Uint8Array[];
  /** The published checkpoint (signed note) over that tree. */
  readonly checkpoint: string;
}

/** The outcome of one item: the entry, or an error that the client may see. */
export type Outcome = { readonly entry: LoggedEntry } | { readonly error: RequestError };

/** The description of a log, for `GET /stele/v1/log`. */
export interface LogInfo {
  readonly origin: string;
  /** Verifier keys of c2sp.org/signed-note, the log's own key first. */
  readonly verifierKeys: readonly string[];
  /** The SHA-256 whose first four bytes are the key ID in notes (docs/wire.md, "Origin and log ID"), 32 bytes. */
  readonly logId: Uint8Array;
  /** `prepared`: a shard that has not begun. */
  readonly status: LogStatus | 'prepared';
  readonly entries: EntryKind;
}

/** The log as the HTTP layer sees it; `Log` in log/log.ts implements it. */
export interface LogService {
  readonly info: LogInfo;
  /** Published size, in entries. */
  readonly publishedSize: number;
  /**
   * Logs the entries of one body, and resolves with one outcome for each item once they are published.
   * @throws RequestError if the body as a whole is wrong (`malformed`, `too-large`), or the log takes no entries now
   * (`pushback`, `frozen`, `store-failed`, `draining`, `halted`, `broken`)
   * @param writer judges each item before it is logged; without one everything may be logged
   */
  submit(body: Uint8Array, encoding: Encoding, writer?: Writer): Promise<readonly Outcome[]>;
  /**
   * Appends `body`, 1 to 65,535 bytes, unchanged. Resolves with its index once it is committed; publication follows. The same
   * bytes again get the index that they have.
   * @throws RequestError `not-raw` if `info.entries` is not `raw`; if the log takes no entries now, as `submit`; what `writer` says
   */
  add(body: Uint8Array, writer?: Writer): Promise<number>;
  /** The published checkpoint: a signed note, as text. */
  readonly checkpoint: string;
  /** Of a frozen log: the checkpoint of the same tree with the quorum, and without the line that says so. */
  readonly plainCheckpoint: string | undefined;
  /** Tile at level 0..63: `width` hashes of 32 bytes; undefined if the published tree does not have it. */
  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined>;
  /** Entry bundle with `width` entries; undefined if the published tree does not have it. */
  entryBundle(index: number, width: number): Promise<Uint8Array | undefined>;
  /** The tile or bundle at `path` (any text) if it is in memory and published. Undefined says nothing. */
  atHand(path: string): Uint8Array | undefined;
  /** The entry with a proof to the present checkpoint; undefined if the published tree does not have it. */
  entry(index: number): Promise<LoggedEntry | undefined>;
  /** Requires 0 <= first <= second <= published size; else `invalid-argument`. */
  consistencyProof(first: number, second: number): Promise<Uint8Array[]>;
  /** Empty if the log is ready; else each reason in one sentence, without paths or keys. */
  notReady(): readonly string[];
  /** What needs the operator although the log does its work, one sentence each. */
  alarms(): readonly string[];
  /** Ends the log for good, and resolves with its last checkpoint once that is stored. Idempotent. */
  freeze(): Promise<string>;
  /**
   * Copies a consistent state into the empty or missing directory `dir`; resolves with the size copied.
   * @param isMade the caller has checked and made `dir`, and puts other shards into it
   */
  backup(dir: string, isMade?: boolean): Promise<number>;
  /** Writes the complete static tree of the published checkpoint below `dir`; resolves with its size. */
  export(dir: string): Promise<number>;
  /** Takes no new entries from now on; resolves when every request under way is answered. */
  drain(): Promise<void>;
  close(): Promise<void>;
}
