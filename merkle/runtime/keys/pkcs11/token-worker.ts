/**
 * The thread that talks to one PKCS#11 module. Every call of the module may wait for a device or a network, above all
 * C_Login and calls to a token that is gone. So no call runs on the thread that serves requests.
 */
import { RuntimeError } from '../../runtime-errors.ts';
import { newCryptoki } from './cryptoki.ts';
import { TokenModule } from './token.ts';
import type { TokenReply, TokenRequest, TokenResults } from './types.ts';

let loaded: TokenModule | undefined;

export default async function answer(request: TokenRequest): Promise<TokenReply> {
  try {
    loaded ??= await load(request.module);
    return { value: perform(loaded, request) };
  } catch (error) {
    if (!(error instanceof RuntimeError)) throw error;
    return { error: { code: error.code, message: error.message } };
  }
}

async function load(path: string): Promise<TokenModule> {
  const cryptoki = await newCryptoki();
  try {
    cryptoki.load(path);
  } catch (cause) {
    throw new RuntimeError(
      'pkcs11-module',
      `${path} cannot be loaded as a PKCS#11 module: ${(cause as Error).message}`,
    );
  }
  return new TokenModule(cryptoki);
}

function perform(module: TokenModule, request: TokenRequest): TokenResults[keyof TokenResults] {
  switch (request.op) {
    case 'open':
      return module.open(request.access);
    case 'create':
      return module.create(request.access, request.algorithm);
    case 'hold':
      return module.hold(request.access, request.algorithm);
    case 'sign':
      return module.sign(request.session, request.data);
    case 'close':
      return module.closeSession(request.session) as undefined;
    case 'finalize':
      return module.finalize() as undefined;
  }
}
