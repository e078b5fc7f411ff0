import { createRequire } from 'node:module';
import createFastify from 'fastify';
import { Type } from 'typebox';
import { expect, it } from 'vitest';
import { typeboxSchemas } from '../../../../merkle/runtime/service/schemas.ts';

const params = Type.Object({ index: Type.String({ pattern: '^[0-9]+$' }) }, { additionalProperties: false });

it('checks what comes in as Fastify would, and loads nothing of Ajv', async () => {
  const app = createFastify({ schemaController: typeboxSchemas });
  app.get('/:index', { schema: { params } }, (request, reply) => reply.send({ given: request.params }));
  const good = await app.inject('/12');
  expect(good.json()).toEqual({ given: { index: '12' } });
  const bad = await app.inject('/12a');
  expect(bad.statusCode).toBe(400);
  expect(bad.json()).toMatchObject({
    code: 'FST_ERR_VALIDATION',
    message: expect.stringMatching(/params\/index .*pattern/),
  });
  await app.close();
  const { cache } = createRequire(import.meta.url);
  expect(Object.keys(cache).filter((path) => path.includes('/fastify/lib/'))).not.toEqual([]);
  expect(Object.keys(cache).filter((path) => /\/(?:ajv-compiler|fast-json-stringify-compiler)\//.test(path))).toEqual(
    [],
  );
});
