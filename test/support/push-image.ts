/** Puts small images into a registry, without a container engine. */
import { digestOf } from './oci-server.ts';

const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';

export interface Pushed {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

/**
 * @param base `http://localhost:5000`
 * @param headers for a registry that wants credentials
 */
export async function pushImage(
  base: string,
  name: string,
  tag: string,
  {
    content = 'an image',
    headers = {},
    fetch: send = fetch,
  }: { content?: string; headers?: Record<string, string>; fetch?: typeof fetch } = {},
): Promise<Pushed> {
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Labels: { content } },
      rootfs: { type: 'layers', diff_ids: [] },
    }),
  );
  const begun = await send(`${base}/v2/${name}/blobs/uploads/`, { method: 'POST', headers });
  const location = begun.headers.get('location');
  if (begun.status !== 202 || location === null) throw new Error(`the registry takes no blob: ${begun.status}`);
  const upload = new URL(location, base);
  upload.searchParams.set('digest', digestOf(config));
  const put = await send(upload.href, {
    method: 'PUT',
    body: config,
    headers: { ...headers, 'content-type': 'application/octet-stream' },
  });
  if (put.status !== 201) throw new Error(`the registry takes no blob: ${put.status}`);
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: CONFIG_TYPE, digest: digestOf(config), size: config.length },
    layers: [],
  };
  return await pushManifest(base, name, tag, manifest, { headers, fetch: send });
}

/** An index of images that are there. */
export async function pushIndex(
  base: string,
  name: string,
  tag: string,
  manifests: readonly Pushed[],
): Promise<Pushed> {
  return await pushManifest(base, name, tag, { schemaVersion: 2, mediaType: INDEX_TYPE, manifests });
}

async function pushManifest(
  base: string,
  name: string,
  tag: string,
  manifest: { readonly mediaType: string; readonly [name: string]: unknown },
  { headers = {}, fetch: send = fetch }: { headers?: Record<string, string>; fetch?: typeof fetch } = {},
): Promise<Pushed> {
  const bytes = Buffer.from(JSON.stringify(manifest));
  const { mediaType } = manifest;
  const put = await send(`${base}/v2/${name}/manifests/${tag}`, {
    method: 'PUT',
    body: bytes,
    headers: { ...headers, 'content-type': mediaType },
  });
  if (put.status !== 201) throw new Error(`the registry takes no manifest: ${put.status} ${await put.text()}`);
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}
