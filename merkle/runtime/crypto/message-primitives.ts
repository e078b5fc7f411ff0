/**
 * The checks of a program that verifies one signature, and ends.
 *
 * Loading koffi for a check over a digest takes 7 to 20 ms, a hundred times as long as the check. `crypto.verify` needs no
 * koffi, but it takes the message. So these checks remember which message they have hashed to a digest. A signature over a
 * digest of any other message is checked as in node-primitives.ts. A program that verifies many signatures takes those: they
 * need no parsed key.
 */
import type { HashName } from '../../rekor/hashes.ts';
import type { Primitives } from '../../rekor/primitives.ts';

interface Message {
  readonly hash: HashName;
  readonly bytes: Uint8Array;
}

/** `base`, with a memory of messages. A message must not change after it was hashed. */
export function messagePrimitives(base: Primitives): Primitives {
  // The digest itself is the key, and not its value: nobody can bring another message for it.
  const messages = new WeakMap<Uint8Array, Message>();
  return {
    ...base,
    hash(name, data) {
      const digest = base.hash(name, data);
      messages.set(digest, { hash: name, bytes: data });
      return digest;
    },
    verifyDigest(key, hash, digest, signature) {
      const message = messages.get(digest);
      const known = message !== undefined && message.hash === hash && key.kind.startsWith('ecdsa-');
      return known
        ? base.verifyMessage(key, hash, message.bytes, signature)
        : base.verifyDigest(key, hash, digest, signature);
    },
  };
}
