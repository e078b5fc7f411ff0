import { expect, it } from 'vitest';
import { makeApp } from './support.ts';

it('OpenAPI lists every route, and nothing else', async () => {
  const { app } = makeApp();
  const reply = await app.inject('/openapi.json');
  expect(reply.headers['content-type']).toBe('application/json');
  const { openapi, paths } = reply.json();
  expect(openapi).toBe('3.1.0');
  const routes = Object.entries(paths as Record<string, object>).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => method !== 'head')
      .map((method) => `${method} ${path}`),
  );
  expect(routes.sort()).toEqual([
    'get /api/v2/checkpoint',
    'get /api/v2/checkpoint.plain',
    'get /api/v2/tile/entries/{bundle}',
    'get /api/v2/tile/{tile}',
    'get /checkpoint',
    'get /checkpoint.plain',
    'get /openapi.json',
    'get /stele/v1/entries/{index}',
    'get /stele/v1/log',
    'get /stele/v1/proofs/consistency',
    'get /tile/entries/{bundle}',
    'get /tile/{tile}',
    'post /api/v2/log/entries',
    'post /api/v2/log/entries:batch',
  ]);
});

it('OpenAPI names the server by its public address alone', async () => {
  const { app } = makeApp({ publicUrl: 'https://log.example.com/a' });
  expect((await app.inject('/openapi.json')).json().servers).toEqual([{ url: 'https://log.example.com/a' }]);
  const { app: unknown } = makeApp();
  expect((await unknown.inject('/openapi.json')).body).not.toMatch(/localhost|"servers"/);
});

it('OpenAPI describes bodies, replies and parameters', async () => {
  const { app } = makeApp();
  const { paths } = (await app.inject('/openapi.json')).json();
  const create = paths['/api/v2/log/entries'].post;
  expect(Object.keys(create.requestBody.content)).toEqual(['application/json', 'application/x-protobuf']);
  expect(Object.keys(create.responses)).toEqual(['201', '400', '401', '403', '405', '409', '413', '429', '503']);
  expect(create.responses[429].headers['Retry-After'].schema).toEqual({ type: 'integer' });
  expect(create.responses[201].content['application/json'].schema.required).toContain('inclusionProof');
  expect(paths['/tile/{tile}'].get.parameters).toMatchObject([{ in: 'path', name: 'tile', required: true }]);
  expect(paths['/stele/v1/proofs/consistency'].get.parameters.map((p: { name: string }) => p.name)).toEqual([
    'first',
    'second',
  ]);
});
