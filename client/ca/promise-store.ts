/**
 * The promises of the authority, durable: each certificate is here before anything of it leaves the process, and until the log
 * has it.
 *
 *   p || serial number    a certificate that the log must get: JSON of `CertificatePromise`, bytes in base64
 *   n || serial number    a certificate that the log refused for good, and that nobody got: the same, with the reason
 *   c                     the latest time at which the authority issued, or at which a witness cosigned one of its certificates
 *
 * A promise without its token's mark cannot be: the token is marked as used first. So a crash between the two costs a token, and
 * no token is certified twice.
 */
import { decodeBase64, decodeHex, decodeUtf8, encodeBase64, encodeUtf8 } from '../../merkle/bytes.ts';
import { GuardedLevel, type LevelBatch } from '../../merkle/runtime/disk/level.ts';
import { RuntimeError } from '../../merkle/runtime/runtime-errors.ts';
import type { CertificatePromise } from './types.ts';

const PROMISED = 0x70; // p
const NEVER_GIVEN = 0x6e; // n
const CLOCK = Uint8Array.of(0x63); // c
/** No cache is needed: rows are read at the start alone. */
const CACHE_BYTES = 1024 * 1024;

type Fill = (batch: LevelBatch) => void;

export class PromiseStore {
  readonly #level: GuardedLevel;
  readonly #onFailure: (error: unknown) => void;
  #latest: number;
  /** Promises that were open when the store was opened. */
  readonly unfinished: readonly CertificatePromise[];
  #fills: Fill[] = [];
  #next: Promise<void> | undefined;
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    level: GuardedLevel,
    latest: number,
    unfinished: readonly CertificatePromise[],
    onFailure: (error: unknown) => void,
  ) {
    this.#level = level;
    this.#latest = latest;
    this.unfinished = unfinished;
    this.#onFailure = onFailure;
  }

  /** @param onFailure called once a write failed: the store takes no more then. @throws RuntimeError `locked`, `store`, `file` */
  static async open(dir: string, onFailure: (error: unknown) => void): Promise<PromiseStore> {
    const level = await GuardedLevel.open(dir, { cacheSize: CACHE_BYTES });
    try {
      const clock = await level.get(CLOCK);
      const unfinished: CertificatePromise[] = [];
      for await (const rows of level.scan({ gte: Uint8Array.of(PROMISED), lt: Uint8Array.of(PROMISED + 1) })) {
        unfinished.push(...rows.map(([, value]) => readPromise(value)));
      }
      return new PromiseStore(level, clock === undefined ? 0 : readClock(clock), unfinished, onFailure);
    } catch (error) {
      await level.close();
      throw error;
    }
  }

  /** Milliseconds since 1970, which the clock must not be before; 0 where nothing was issued. */
  get latest(): number {
    return this.#latest;
  }

  /** Resolves once the promise is durable. @throws RuntimeError `store` */
  keep(promise: CertificatePromise): Promise<void> {
    this.#latest = Math.max(this.#latest, promise.time);
    return this.#write((batch) => batch.put(keyOf(PROMISED, promise), formatPromise(promise)));
  }

  /** The log has the certificate. @param time of the witnesses, where they gave one */
  kept(promise: CertificatePromise, time: number | undefined): Promise<void> {
    this.#latest = Math.max(this.#latest, time ?? 0);
    return this.#write((batch) => batch.del(keyOf(PROMISED, promise)));
  }

  /** The log refuses the certificate for good, and nobody got it. */
  neverGiven(promise: CertificatePromise, reason: string): Promise<void> {
    return this.#write((batch) => {
      batch.del(keyOf(PROMISED, promise));
      batch.put(keyOf(NEVER_GIVEN, promise), formatPromise(promise, reason));
    });
  }

  /** The clock was ahead when the last certificates were made, and none of them left. */
  setBack(time: number): Promise<void> {
    this.#latest = time;
    return this.#write(() => {});
  }

  async close(): Promise<void> {
    await this.#next?.catch(() => {});
    await this.#writing.catch(() => {});
    await this.#level.close();
  }

  /** One synced write holds all that came while the one before was under way. */
  #write(fill: Fill): Promise<void> {
    this.#fills.push(fill);
    this.#next ??= this.#writing
      .catch(() => {})
      .then(() => {
        const fills = this.#fills;
        this.#fills = [];
        this.#next = undefined;
        this.#writing = this.#level.write((batch) => {
          for (const one of fills) one(batch);
          batch.put(CLOCK, encodeUtf8(String(this.#latest)));
        });
        this.#writing.catch(this.#onFailure);
        return this.#writing;
      });
    return this.#next;
  }
}

function keyOf(kind: number, { serial }: CertificatePromise): Uint8Array {
  return Uint8Array.of(kind, ...decodeHex(serial.length % 2 === 0 ? serial : `0${serial}`));
}

function formatPromise(promise: CertificatePromise, reason?: string): Uint8Array {
  const { serial, time, team, certificate, digest, signature } = promise;
  return encodeUtf8(
    JSON.stringify({
      serial,
      time,
      team,
      certificate: encodeBase64(certificate),
      digest: encodeBase64(digest),
      signature: encodeBase64(signature),
      ...(reason !== undefined && { reason }),
    }),
  );
}

/** Bytes in base64. */
interface StoredPromise extends Pick<CertificatePromise, 'serial' | 'time' | 'team'> {
  readonly certificate: string;
  readonly digest: string;
  readonly signature: string;
}

function readPromise(value: Uint8Array): CertificatePromise {
  try {
    const { serial, time, team, certificate, digest, signature } = JSON.parse(decodeUtf8(value)) as StoredPromise;
    return {
      serial,
      time,
      team,
      certificate: decodeBase64(certificate),
      digest: decodeBase64(digest),
      signature: decodeBase64(signature),
    };
  } catch (cause) {
    throw new RuntimeError('store', 'a promise in the data directory cannot be read: its bytes are damaged', { cause });
  }
}

function readClock(value: Uint8Array): number {
  const time = Number(decodeUtf8(value));
  if (Number.isSafeInteger(time)) return time;
  throw new RuntimeError('store', 'the time of the last certificate cannot be read: its bytes are damaged');
}
