/**
 * Links of a step that was run here, in two forms: a statement of in-toto with the predicate link v0.3 (in-toto/attestation,
 * spec/predicates/link.md), and the link file of layouts (in-toto-spec.md section 4.4).
 */
import { createHash } from 'node:crypto';
import { decodeHex, encodeBase64, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { INTOTO_TYPE, preAuthEncoding } from '../../merkle/rekor/dsse.ts';
import { HASH_NAME } from '../../merkle/rekor/hashes.ts';
import { parseJsonValue } from '../../merkle/rekor/json-value.ts';
import { layoutKeyOf, verifyLayoutSignature } from '../../merkle/runtime/policy/layout/layout-key.ts';
import { MAX_LAYOUT_FILE } from '../../merkle/runtime/policy/layout/layout-metadata.ts';
import { canonicalText } from '../../merkle/runtime/policy/layout/olpc-json.ts';
import { ClientError } from '../errors.ts';
import { formatStatement } from '../formats/statement.ts';
import type { KeySigner } from '../submit/signers/types.ts';

const LINK_TYPE = 'https://in-toto.io/attestation/link/v0.3';

/** Longest link: in base64 and with its signature it fits in a file that is read. */
const MAX_LINK = 20 * 1024 * 1024;

export interface MadeLink {
  readonly name: string;
  /** SHA-256 in hex by name. */
  readonly materials: ReadonlyMap<string, string>;
  readonly products: ReadonlyMap<string, string>;
  readonly command: readonly string[];
  readonly byproducts: Readonly<Record<string, string | number | boolean>>;
}

/** The statement about the products; at least one. @throws ClientError `statement` where it is too long */
export function linkStatement({ name, materials, products, command, byproducts }: MadeLink): Uint8Array {
  const predicate = {
    name,
    command,
    materials: Array.from(materials, ([file, sha256]) => ({ name: file, digest: { sha256 } })),
    byproducts,
    environment: {},
  };
  const subjects = Array.from(products, ([file, sha256]) => ({ name: file, sha256: decodeHex(sha256) }));
  return formatStatement(subjects, LINK_TYPE, encodeUtf8(JSON.stringify(predicate)));
}

export type LinkForm = 'dsse' | 'metablock';

/**
 * The link file, signed.
 *
 * @returns its name, `STEP.KEYID8.link`, and its bytes
 * @throws ClientError `key` where the key cannot sign so; `bad-signature`; what the signer throws
 */
export async function signedLink(
  link: MadeLink,
  form: LinkForm,
  signer: KeySigner,
): Promise<{ readonly file: string; readonly bytes: Uint8Array }> {
  const { keyId } = layoutKeyOf(signer.publicKey.info);
  const hashed = (files: ReadonlyMap<string, string>) =>
    Object.fromEntries(Array.from(files, ([name, sha256]) => [name, { sha256 }]));
  const payload = {
    _type: 'link',
    name: link.name,
    materials: hashed(link.materials),
    products: hashed(link.products),
    byproducts: link.byproducts,
    command: link.command,
    environment: {},
  };
  const text = encodeUtf8(JSON.stringify(payload));
  if (text.length > MAX_LINK) {
    throw new ClientError('statement', `the link is longer than ${MAX_LINK} bytes: nothing was signed`);
  }
  const message =
    form === 'dsse'
      ? preAuthEncoding(INTOTO_TYPE, text)
      : encodeUtf8(canonicalText(parseJsonValue(text, 'the link', MAX_LAYOUT_FILE)));
  const signature = await signMessage(message, signer);
  const file =
    form === 'dsse'
      ? {
          payloadType: INTOTO_TYPE,
          payload: encodeBase64(text),
          signatures: [{ keyid: keyId, sig: encodeBase64(signature) }],
        }
      : { signed: payload, signatures: [{ keyid: keyId, sig: encodeHex(signature) }] };
  return { file: linkFileName(link.name, signer), bytes: encodeUtf8(`${JSON.stringify(file, undefined, 2)}\n`) };
}

/** `build.2d243d7e.link` */
export function linkFileName(step: string, { publicKey }: KeySigner): string {
  return `${step}.${layoutKeyOf(publicKey.info).keyId.slice(0, 8)}.link`;
}

async function signMessage(message: Uint8Array, signer: KeySigner): Promise<Uint8Array> {
  const { publicKey } = signer;
  let signature: Uint8Array;
  if (publicKey.info.kind.startsWith('ecdsa')) {
    const digest = createHash(HASH_NAME[publicKey.digest]).update(message).digest();
    signature = await signer.sign(Uint8Array.from(digest), async (limit) =>
      message.length > limit ? undefined : message,
    );
  } else if (signer.signLink === undefined) {
    throw new ClientError(
      'key',
      `this ${publicKey.name} key does not sign links of layouts: use a key in a file, or ECDSA`,
    );
  } else {
    signature = signer.signLink(message);
  }
  if (verifyLayoutSignature(layoutKeyOf(publicKey.info), message, signature)) return signature;
  throw new ClientError('bad-signature', 'the key gave a signature that its own public key refuses: it was not used');
}
