/**
 * Fastify's `schema` of a route, checked by TypeBox, which every program here has loaded for its configuration.
 *
 * Fastify's own way is Ajv, which takes 80 ms of CPU time of a start on Node 20, half of it to compile the schema of
 * schemas; a log until its first answer: 600 ms with it, 490 without.
 */
import type { FastifySchemaCompiler, FastifyServerOptions } from 'fastify';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';

const checked: FastifySchemaCompiler<TSchema> =
  ({ schema }) =>
  (data: unknown) =>
    Value.Check(schema, data) ? { value: data } : { error: Value.Errors(schema, data) as unknown as Error };

/** For the option `schemaController` of `fastify()`. */
export const typeboxSchemas = {
  compilersFactory: {
    buildValidator: () => checked,
    // Of use for the schema of a reply, and no route has one: replies are ready-made text.
    buildSerializer: () => () => JSON.stringify,
  },
  // Fastify's types take Ajv's own factories alone here.
} as unknown as NonNullable<FastifyServerOptions['schemaController']>;
