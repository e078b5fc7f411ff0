/**
 * The rows of the queue in its store. All numbers are 8 bytes, big-endian, so that keys are in the order of their numbers.
 *
 * | key                              | value                                     |                                        |
 * |----------------------------------|-------------------------------------------|----------------------------------------|
 * | `a` number                       | the alert: JSON                           | as long as a `d` row has its number    |
 * | `i` SHA-256 of the alert's ID    | number                                    | as long as its `a` row                 |
 * | `d` sink lane number             | when it was queued (ms); bytes of the alert | one for each delivery to be made     |
 * | `n`                              | the next number                           |                                        |
 * | `s` sink                         | the sink's name: UTF-8                    | for messages                           |
 *
 * A sink is the first 8 bytes of the SHA-256 of its name. Lane 0 goes at once, lane 1 with the next digest. Each alert gets
 * the next number, and no number comes twice.
 */
import { createHash } from 'node:crypto';
import type { GuardedLevel } from '../../../merkle/runtime/disk/level.ts';
import { RuntimeError } from '../../../merkle/runtime/runtime-errors.ts';
import type { Alert } from '../types.ts';

export type Lane = 0 | 1;

/** One delivery to be made. */
export interface Due {
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly queuedAt: number;
  /** Bytes of the alert's JSON. */
  readonly size: number;
}

const NUMBER_SIZE = 8;
const SINK_SIZE = 8;
const SCAN = 1024;

export class Rows {
  readonly store: GuardedLevel;

  constructor(store: GuardedLevel) {
    this.store = store;
  }

  alert(number: number): Buffer {
    return keyOf('a', encode(number));
  }

  id(alertId: string): Buffer {
    return keyOf('i', createHash('sha256').update(alertId).digest());
  }

  due(sink: Buffer, lane: Lane, number: number): Buffer {
    return keyOf('d', sink, Buffer.of(lane), encode(number));
  }

  next(): Buffer {
    return keyOf('n');
  }

  sinkName(sink: Buffer): Buffer {
    return keyOf('s', sink);
  }

  /** The next number, and how many deliveries each sink has in each lane. Reads one row for each. */
  async open(): Promise<{ readonly next: number; readonly counts: Map<string, number> }> {
    const next = await this.store.get(this.next());
    const counts = new Map<string, number>();
    const start = keyOf('d');
    for await (const rows of this.store.scan({ gte: start, lt: keyOf('e') }, SCAN)) {
      for (const [key] of rows) {
        const sink = Buffer.from(key).toString('hex', start.length, start.length + SINK_SIZE);
        counts.set(sink, (counts.get(sink) ?? 0) + 1);
      }
    }
    return { next: next === undefined ? 0 : decode(next), counts };
  }

  /** The first `limit` deliveries of a lane, from `from` on. */
  async first(sink: Buffer, lane: Lane, limit: number, from = 0): Promise<Due[]> {
    const range = { gte: this.due(sink, lane, from), lt: keyOf('d', sink, Buffer.of(lane + 1)) };
    for await (const rows of this.store.scan(range, limit)) {
      return rows.map(([key, value]) => {
        const bytes = Buffer.from(value);
        if (bytes.length !== 2 * NUMBER_SIZE) throw damaged();
        return {
          number: decode(Buffer.from(key).subarray(-NUMBER_SIZE)),
          queuedAt: decode(bytes.subarray(0, NUMBER_SIZE)),
          size: decode(bytes.subarray(NUMBER_SIZE)),
        };
      });
    }
    return [];
  }

  /** The alerts of these numbers. */
  async alerts(numbers: readonly number[]): Promise<Alert[]> {
    const values = await this.store.getMany(numbers.map((number) => this.alert(number)));
    return values.map((value) => {
      if (value === undefined) throw damaged();
      return JSON.parse(Buffer.from(value).toString('utf8')) as Alert;
    });
  }
}

function keyOf(kind: string, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from(kind, 'latin1'), ...parts]);
}

/** The value of a `d` row. */
export function dueValue(queuedAt: number, size: number): Buffer {
  return Buffer.concat([encode(queuedAt), encode(size)]);
}

export function sinkKey(name: string): Buffer {
  return createHash('sha256').update(name).digest().subarray(0, SINK_SIZE);
}

export function encode(number: number): Buffer {
  const bytes = Buffer.alloc(NUMBER_SIZE);
  bytes.writeBigUInt64BE(BigInt(number));
  return bytes;
}

function decode(bytes: Uint8Array): number {
  if (bytes.length !== NUMBER_SIZE) throw damaged();
  const number = Number(Buffer.from(bytes).readBigUInt64BE());
  if (!Number.isSafeInteger(number)) throw damaged();
  return number;
}

function damaged(): RuntimeError {
  const why = 'the queue of alerts is damaged: move its directory away and start the monitor anew';
  return new RuntimeError('store', why);
}
