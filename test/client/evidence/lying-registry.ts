/** A registry that answers some paths with something else than a registry does, and a client that asks it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { expect, onTestFinished } from 'vitest';
import { parseImageName } from '../../../client/evidence/image-name.ts';
import { registrySource } from '../../../client/evidence/registry.ts';
import type { RegistryOptions } from '../../../client/evidence/registry-requests.ts';
import { type Descriptor, INDEX, OciServer } from '../../support/oci-server.ts';

export type Answer = (reply: ServerResponse, request: IncomingMessage, server: OciServer) => void;

/** A registry that answers requests for a path as told, and others as a registry does. */
export async function start(lies: Readonly<Record<string, Answer>> = {}, api = true): Promise<OciServer> {
  const server: OciServer = new OciServer({
    api,
    intercept: (request, reply) => {
      const lie = Object.entries(lies).find(([path]) => (request.url ?? '').includes(path));
      if (lie !== undefined) lie[1](reply, request, server);
      return lie !== undefined;
    },
  });
  onTestFinished(async () => void (await server.close()));
  return await server.start();
}

export const OPTIONS = { retries: 0, timeoutMs: 5000 };
export const never = new AbortController().signal;

export async function find(server: OciServer, { digest }: Descriptor, options: RegistryOptions = {}, signal = never) {
  const source = registrySource({ insecure: [server.host], ...OPTIONS, ...options });
  const pieces = await source.find({ digest, image: parseImageName(`${server.host}/team/app`) }, signal);
  return pieces.map(({ bytes }) => Buffer.from(bytes).toString());
}

export const refusal = (code: string, why: string) =>
  expect.objectContaining({ name: 'ClientError', code, message: expect.stringContaining(why) });

export const html: Answer = (reply) =>
  reply.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>');
export const html404: Answer = (reply) =>
  reply.writeHead(404, { 'content-type': 'text/html' }).end('<html>Not here</html>');
export const status =
  (code: number): Answer =>
  (reply) =>
    reply.writeHead(code).end();
export const json =
  (value: unknown): Answer =>
  (reply) =>
    reply.writeHead(200, { 'content-type': INDEX }).end(JSON.stringify(value));
export const redirect =
  (to: string): Answer =>
  (reply) =>
    reply.writeHead(307, { location: to }).end();
export const endless: Answer = (reply) => {
  const piece = Buffer.alloc(1024 * 1024, ' ');
  reply.on('error', () => {});
  const more = () => {
    while (!reply.destroyed && reply.write(piece));
    if (!reply.destroyed) reply.once('drain', more);
  };
  more();
};
export const index = (manifests: unknown) => json({ schemaVersion: 2, mediaType: INDEX, manifests });
