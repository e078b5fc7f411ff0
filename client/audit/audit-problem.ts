/** What is wrong with a log, as an error that ends its audit. */
import { ClientError } from '../errors.ts';
import type { Corruption, CorruptionCode } from './types.ts';

export class AuditProblem extends ClientError {
  readonly corruption: Corruption;

  constructor(
    code: CorruptionCode,
    path: string,
    message: string,
    index?: number,
    { note, ...options }: ErrorOptions & Pick<Corruption, 'note'> = {},
  ) {
    super(code, message, options);
    this.corruption = { code, path, message, ...(index === undefined ? {} : { index }), ...(note && { note }) };
  }
}

/** Turns the errors of a source that are about the log (a file is missing, or not whole) into problems of the audit. */
export async function about<T>(path: string, index: number, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    if (!(cause instanceof ClientError) || (cause.code !== 'missing' && cause.code !== 'corrupt')) throw cause;
    throw new AuditProblem(cause.code, path, cause.message, index, { cause });
  }
}
