/** bundle.js puts this file in the place of @noble/hashes where merkle takes its default hash from. */
export { fastSha256 as sha256 } from './hash.ts';
