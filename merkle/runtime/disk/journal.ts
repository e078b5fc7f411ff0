/**
 * Whether a journal of LevelDB was damaged after it was written. LevelDB itself skips records that do not verify, with all
 * that follows in their block, and says nothing: the store goes back to an earlier state.
 *
 * A journal is a row of blocks of 32 KiB. Each has records: the masked CRC-32C of type and data (4 bytes, little-endian), the
 * length of the data (2 bytes, little-endian), the type, the data. Fewer than 7 bytes at the end of a block are zero. A batch
 * is one record of type 1, or a first (2), some middle (3) and a last one (4).
 * Source: doc/log_format.md and util/crc32c.h of github.com/google/leveldb.
 */

const BLOCK = 32 * 1024;
const HEADER = 7;
const [FULL, FIRST, LAST] = [1, 2, 4];
const MASK = 0xa282ead8;

/**
 * Whether a batch begins after a record that does not verify. Each batch is synced before the next is written, so the damaged
 * one was confirmed. A loss of power, or a full disk, damages the last batch alone.
 */
export function journalIsDamaged(journal: Uint8Array): boolean {
  const bytes = Buffer.from(journal.buffer, journal.byteOffset, journal.byteLength);
  let damaged = false;
  let at = 0;
  while (at < bytes.length) {
    const blockEnd = Math.min(at - (at % BLOCK) + BLOCK, bytes.length);
    const end = blockEnd - at < HEADER ? blockEnd : at + HEADER + bytes.readUInt16LE(at + 4);
    if (blockEnd - at < HEADER || end > blockEnd) {
      damaged ||= end > blockEnd;
      at = blockEnd;
      continue;
    }
    const type = bytes[at + 6]!;
    const whole = type >= FULL && type <= LAST && unmasked(bytes.readUInt32LE(at)) === crc32c(bytes, at + 6, end);
    if (damaged && whole && (type === FULL || type === FIRST)) return true;
    damaged ||= !whole;
    at = end;
  }
  return false;
}

function unmasked(crc: number): number {
  const rotated = (crc - MASK) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

/** CRC-32C, as RFC 3720 section 12.1 has it: the reversed polynomial 0x82f63b78. */
const TABLE = new Uint32Array(256).map((_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function crc32c(bytes: Uint8Array, from: number, to: number): number {
  let crc = 0xffffffff;
  for (let at = from; at < to; at++) crc = TABLE[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
