/**
 * Writes metadata files (TUF 1.0.34 section 4) by way of the models of the TUF project, on which tuf-js and Sigstore's clients
 * stand: what they could not read is not written.
 */
import { Metadata, type MetadataKind } from '@tufjs/models';
import { encodeUtf8, equal } from '../../../merkle/bytes.ts';
import { canonicalJson, type TufObject } from './canonical-json.ts';
import type { TufSignature } from './metadata.ts';
import { tufMalformed } from './role.ts';

type Kind = (typeof MetadataKind)[keyof typeof MetadataKind];

/**
 * @param signed with its `_type`
 * @throws ClientError `tuf-malformed` where the models refuse it, or would write something else
 */
export function writeMetadata(signed: TufObject, signatures: readonly TufSignature[]): Uint8Array {
  const what = `the new ${String(signed._type)} metadata`;
  const file = modelOf(signed, signatures, what);
  if (!equal(canonicalJson(file.signed, what), canonicalJson(signed, what))) {
    throw tufMalformed(what, 'would be written with other content');
  }
  return encodeUtf8(`${JSON.stringify(file, undefined, 1)}\n`);
}

function modelOf(signed: TufObject, signatures: readonly TufSignature[], what: string): { readonly signed?: unknown } {
  // The models declare one overload for each kind, and none for a kind that is not known yet.
  const fromJson = Metadata.fromJSON as (kind: Kind, file: object) => Metadata<never>;
  try {
    return fromJson(signed._type as Kind, { signatures, signed }).toJSON();
  } catch (error) {
    throw tufMalformed(what, `is refused by the models of TUF: ${(error as Error).message}`);
  }
}
