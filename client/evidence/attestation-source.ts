/**
 * Evidence in an attestation store (`stele index`): all pieces that it has about a subject.
 *
 * Nothing here is trusted for more than to be found. A store that leaves pieces out denies what needs them, and cannot allow
 * anything. A store that cannot be asked, or whose answers are wrong, is an error: nobody knows what it would have had.
 */
import { ClientError } from '../errors.ts';
import { inOrder } from '../in-order.ts';
import { type AttestationRequestOptions, AttestationRequests } from './attestation-requests.ts';
import type { EvidencePiece, EvidenceSource } from './types.ts';

const MAX_PIECES = 256;
const MAX_BYTES = 128 * 1024 * 1024;
const AT_ONCE = 6;

/** @throws ClientError `usage`: the URL is none of a store */
export function attestationSource(options: AttestationRequestOptions): EvidenceSource {
  const requests = new AttestationRequests(options);
  return {
    async find({ digest, room }, signal) {
      const listed = [...(await requests.list({ subject: digest }, { pieces: MAX_PIECES, signal, room }))];
      const all = listed.reduce((sum, { size }) => sum + size, 0);
      if (all > MAX_BYTES) {
        const why = `the attestation store ${requests.url} has more than ${MAX_BYTES} bytes of evidence about ${digest}`;
        throw new ClientError('evidence', why);
      }
      const pieces: EvidencePiece[] = [];
      const next = () => {
        const piece = listed.shift();
        if (piece === undefined) return undefined;
        return async () => {
          // Before the bytes are there: several answers come at once.
          room?.take(piece.size);
          const bytes = await requests.piece(piece, signal);
          return { source: `${requests.url}/stele/v1/attestations/${piece.digest}`, bytes };
        };
      };
      for await (const piece of inOrder(next, () => AT_ONCE)) pieces.push(piece);
      return pieces;
    },
  };
}
