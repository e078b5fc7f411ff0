/**
 * Manifests and indexes of images (OCI image specification 1.1, and Docker's forms of the same), as far as evidence is found through
 * them. Fields of other names are ignored, as the specification requires.
 */
import { printable } from '../../merkle/printable.ts';
import { ClientError } from '../errors.ts';
import { parseJson } from '../formats/json.ts';
import { isImageDigest } from './image-name.ts';

/** The specification asks registries for at least this much. */
export const MAX_MANIFEST = 4 * 1024 * 1024;

export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const DOCKER_TYPES = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
export const IMAGE_TYPES: readonly string[] = [MANIFEST_TYPE, INDEX_TYPE, ...DOCKER_TYPES];
/** With the media types of all versions: sigstore/protobuf-specs, and the layers that cosign and others write. */
const BUNDLE_TYPE = /^application\/vnd\.dev\.sigstore\.bundle(?:\.v[0-9.]+)?\+json(?:;version=[0-9.]+)?$/;

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  /** Bytes. */
  readonly size: number;
}

interface Referrer {
  /** The digest of the image that it is about, by its own word. */
  readonly subject: string | undefined;
  /** Layers that are bundles: none of a manifest that holds something else. */
  readonly bundles: readonly Descriptor[];
}

/** The manifests that an index lists. @throws ClientError `bad-reply` */
export function readIndex(bytes: Uint8Array, from: string): readonly Descriptor[] {
  const { mediaType, manifests } = readImage(bytes, from);
  if (mediaType !== undefined && mediaType !== INDEX_TYPE) {
    throw malformed(from, `is of the type ${printable(String(mediaType))} in place of ${INDEX_TYPE}`);
  }
  if (!Array.isArray(manifests)) throw malformed(from, 'is no index: it lists no manifests');
  return manifests.map((item, at) => readDescriptor(item, `${from}: manifests[${at}]`));
}

/** A manifest that an index lists, judged by its own type. @throws ClientError `bad-reply` */
export function readReferrer(bytes: Uint8Array, from: string): Referrer {
  const image = readImage(bytes, from);
  const { artifactType, config, layers, subject } = image;
  const about =
    subject === undefined || subject === null ? undefined : readDescriptor(subject, `${from}: subject`).digest;
  if (!Array.isArray(layers)) return { subject: about, bundles: [] };
  const all = layers.map((item, at) => readDescriptor(item, `${from}: layers[${at}]`));
  // cosign writes the type at its right place, and also into the descriptor of the configuration.
  const inConfig = isObject(config) ? [config.artifactType, config.mediaType] : [];
  const isBundle = [artifactType, ...inConfig].some((type) => typeof type === 'string' && BUNDLE_TYPE.test(type));
  // Some programs give the type of a bundle to the whole, and that of a file to the layer.
  return { subject: about, bundles: isBundle ? all : all.filter(({ mediaType }) => BUNDLE_TYPE.test(mediaType)) };
}

/** Whether the bytes are an image of today, for which the digest of the bytes is the image's. @throws ClientError `bad-reply` */
export function checkImage(bytes: Uint8Array, from: string): void {
  const { mediaType, config, manifests } = readImage(bytes, from);
  const known =
    mediaType === undefined ? isObject(config) || Array.isArray(manifests) : IMAGE_TYPES.includes(String(mediaType));
  if (!known) throw malformed(from, 'is no image manifest and no index');
}

function readImage(bytes: Uint8Array, from: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = parseJson(bytes, 'the answer', MAX_MANIFEST);
  } catch (cause) {
    throw malformed(from, `is no manifest: ${(cause as Error).message}`);
  }
  if (!isObject(value) || value.schemaVersion !== 2)
    throw malformed(from, 'is no manifest: schemaVersion 2 is missing');
  return value;
}

function readDescriptor(value: unknown, from: string): Descriptor {
  if (!isObject(value)) throw malformed(from, 'is no descriptor');
  const { mediaType, digest, size } = value;
  if (typeof mediaType !== 'string') throw malformed(from, 'has no mediaType');
  if (typeof digest !== 'string' || !isImageDigest(digest))
    throw malformed(from, 'has no sha256, sha384 or sha512 digest');
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw malformed(from, 'has no size');
  return { mediaType, digest, size };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function malformed(from: string, why: string): ClientError {
  return new ClientError('bad-reply', `${from} ${why}`);
}
