/**
 * One verdict on an Ed25519 signature, on every path that verifies one: RFC 8032's vectors, published edge cases, and
 * signatures with components of small order that the test makes itself.
 */
import * as crypto from 'node:crypto';
import { etc, Point, hashes as providers, sign, verify } from '@noble/ed25519';
import { sha512 } from '@noble/hashes/sha2.js';
import { describe, expect, it } from 'vitest';
import { concat, decodeHex, encodeHex, encodeUtf8 } from '../../merkle/bytes.ts';
import { verifyEd25519 } from '../../merkle/ed25519.ts';
import { isStrongEd25519Key } from '../../merkle/ed25519-key.ts';
import { nobleNotePrimitives } from '../../merkle/noble.ts';
import { KEY_TYPE, makeVerifierKey } from '../../merkle/note.ts';
import { noblePrimitives as clientNoble } from '../../merkle/rekor/noble-primitives.ts';
import { parseSpki } from '../../merkle/rekor/spki.ts';
import { nodePrimitives as clientNode } from '../../merkle/runtime/crypto/node-primitives.ts';
import { backgroundVerifier, nodeNotePrimitives } from '../../merkle/runtime/crypto/verify.ts';
import { checkedSigner, verifySignature } from '../../merkle/runtime/keys/signer.ts';

providers.sha512 = sha512;

const SPKI = decodeHex('302a300506032b6570032100');
const ORDER = Point.CURVE().n;
const hex = (bytes: Uint8Array) => encodeHex(bytes);

/** What each path says, by its name. A path that throws says so. */
async function verdicts(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<Record<string, unknown>> {
  const spki = concat(SPKI, key);
  const attempt = (check: () => boolean) => {
    try {
      return check();
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  const noteKey = { ...makeVerifierKey('log.test', KEY_TYPE.ed25519, new Uint8Array(32)), key };
  const info = parseSpki(spki);
  return {
    'merkle, pure': verifyEd25519(key, message, signature),
    'merkle, noble': nobleNotePrimitives.ed25519(key, message, signature),
    'merkle, Node': nodeNotePrimitives.ed25519(key, message, signature),
    'merkle, Node, beside': await backgroundVerifier(noteKey).verify(message, signature),
    'client, noble': clientNoble.verifyMessage(info, undefined, message, signature),
    'client, Node': clientNode().verifyMessage(info, undefined, message, signature),
    signer: attempt(() => verifySignature({ algorithm: 'ed25519', publicKey: spki }, message, signature)),
  };
}

/** The signature that Node makes with the key of this seed. */
const signWithNode = (seed: Uint8Array, message: Uint8Array) => {
  const key = Buffer.from(concat(decodeHex('302e020100300506032b657004220420'), seed));
  return crypto.sign(null, message, crypto.createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
};

/** The one verdict of all paths, or all verdicts where they differ. A signer throws for a key that the others refuse. */
async function verdict(key: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<unknown> {
  const all = await verdicts(key, message, signature);
  const { signer, ...rest } = all;
  const values = new Set([...Object.values(rest), signer === 'key-format' ? isStrongEd25519Key(key) : signer]);
  return values.size === 1 ? [...values][0] : all;
}

const openssl = (key: Uint8Array, message: Uint8Array, signature: Uint8Array) =>
  crypto.verify(
    null,
    message,
    crypto.createPublicKey({ key: Buffer.from(concat(SPKI, key)), format: 'der', type: 'spki' }),
    signature,
  );

/** RFC 8032 section 7.1: seed, public key, message, signature. */
const RFC8032 = [
  [
    '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    '',
    'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  ],
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '72',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    'af82',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  ],
  [
    'f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5',
    '278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e',
    [
      '08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1e355f6c50544e23f',
      'b1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d658675fc6ea534e0810a4432826bf58c',
      '941efb65d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a7363c344fe6b199ee5d02e82d522c4feba15452f80288a82',
      '1a579116ec6dad2b3b310da903401aa62100ab5d1a36553e06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbef',
      'efd75499da96bd68a8a97b928a8bbc103b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53',
      'f1d8ac70bdcb7ed185ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d',
      '502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f27088d78b7e883c8759',
      'd2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089beccf80cfe2df16a2cf65bd92dd597b07',
      '07e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128bab27af87a71314f318c782b23ebfe808b82b0ce26401d2e22',
      'f04d83d1255dc51addd3b75a2b1ae0784504df543af8969be3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8',
      'fcffead94f3c7ca495e056a9b47acdb751fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb',
      '038dda0847dd988dcda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34df',
      'f7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7984a74d371459867',
      '80fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e488acba6b965610b5480109c8b17b80e1',
      'b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac0943bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a4',
      '3dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5fb93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b5',
      '0d334ba77c225bc307ba537152f3f1610e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fd',
      'e7cb68606937380db2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8ca',
      'c60c905c15fc910840b94c00a0b9d0',
    ].join(''),
    '0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03',
  ],
  [
    '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
    'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
    'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    'dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704',
  ],
] as const;

/** Table 6 (c) of "Taming the many EdDSAs" (2020/1244, ePrint): message, public key, signature, and our verdict. */
const TAMING: readonly (readonly [what: string, message: string, key: string, signature: string, holds: boolean])[] = [
  [
    '0: A and R of small order, S = 0',
    '8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a0000000000000000000000000000000000000000000000000000000000000000',
    false,
  ],
  [
    '1: A of small order, R mixed',
    '9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    'f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04',
    false,
  ],
  [
    '2: A mixed, R of small order',
    'aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab',
    'f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e',
    true,
  ],
  [
    '3: A and R mixed, both equations hold',
    '9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79',
    'cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d',
    '9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009',
    true,
  ],
  [
    '4: A and R mixed, only the equation with the cofactor holds',
    'e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c',
    'cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d',
    '160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09',
    false,
  ],
  [
    '5: A mixed, holds with the cofactor unless 8 k is reduced first',
    'e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c',
    'cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d',
    '21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405',
    false,
  ],
  [
    '6: S above the order',
    '85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40',
    '442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623',
    'e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514',
    false,
  ],
  [
    '7: S far above the order',
    '85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40',
    '442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623',
    '8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22',
    false,
  ],
  [
    '8: R not canonical, hashed as it is in its canonical encoding',
    '9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41',
    'f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff03be9678ac102edcd92b0210bb34d7428d12ffc5df5f37e359941266a4e35f0f',
    false,
  ],
  [
    '9: R not canonical, hashed as it stands',
    '9bedc267423725d473888631ebf45988bad3db83851ee85c85e241a07d148b41',
    'f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffca8c5b64cd208982aa38d4936621a4775aa233aa0505711d8fdcfdaa943d4908',
    false,
  ],
  [
    '10: A not canonical and of small order, hashed in its canonical encoding',
    'e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04',
    false,
  ],
  [
    '11: A not canonical and of small order, hashed as it stands',
    '39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04',
    false,
  ],
];

/** The eight points of small order: multiples of one of order 8. */
const TORSION = (() => {
  const generator = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');
  return Array.from({ length: 8 }, (_, i) => generator.multiply(BigInt(i), false));
})();

/** The encodings of small-order points that are not canonical: y = p and p + 1, or x = 0 with the sign bit set. */
const NOT_CANONICAL = [
  ...['ed', 'ee'].flatMap((first) => ['7f', 'ff'].map((last) => `${first}${'ff'.repeat(30)}${last}`)),
  `01${'00'.repeat(30)}80`,
  `ec${'ff'.repeat(31)}`,
].map(decodeHex);

const SMALL_ORDER = [...TORSION.map((point) => point.toBytes()), ...NOT_CANONICAL];

const littleEndian = (bytes: Uint8Array) => BigInt(`0x${hex(Uint8Array.from(bytes).reverse())}`);
const scalarBytes = (value: bigint) => decodeHex(value.toString(16).padStart(64, '0')).reverse();

/** A signature by the key [a]B + T over `message` with R = [r]B + U, whose S fits the components of large order. */
function mixedSignature(a: bigint, keyTorsion: Point, r: bigint, pointTorsion: Point, message: Uint8Array) {
  const key = Point.BASE.multiply(a).add(keyTorsion).toBytes();
  const R = Point.BASE.multiply(r).add(pointTorsion).toBytes();
  const k = littleEndian(sha512(concat(R, key, message))) % ORDER;
  return { key, signature: concat(R, scalarBytes(etc.mod(r + k * a, ORDER))) };
}

describe('Ed25519', () => {
  it.each(RFC8032)('verifies and makes the signatures of RFC 8032 section 7.1: %s', async (seed, key, text, signed) => {
    const [publicKey, message, signature] = [decodeHex(key), decodeHex(text), decodeHex(signed)];
    expect(hex(sign(message, decodeHex(seed)))).toBe(signed);
    expect(hex(signWithNode(decodeHex(seed), message))).toBe(signed);
    expect(await verdict(publicKey, message, signature)).toBe(true);
    expect(await verdict(publicKey, concat(message, Uint8Array.of(0)), signature)).toBe(false);
    for (let at = 0; at < 64; at += 7) {
      expect(await verdict(publicKey, message, signature.with(at, signature[at]! ^ 1))).toBe(false);
    }
    for (const wrong of [signature.subarray(1), concat(signature, Uint8Array.of(0)), new Uint8Array(0)]) {
      expect(await verdict(publicKey, message, wrong)).toBe(false);
    }
  });

  it.each(TAMING)('has one verdict on every path: case %s', async (_, message, key, signature, holds) => {
    expect(await verdict(decodeHex(key), decodeHex(message), decodeHex(signature))).toBe(holds);
  });

  it('refuses what OpenSSL alone would take, and what the library alone would take', () => {
    const verdictsOf = (check: (key: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean) =>
      TAMING.flatMap(([, message, key, signature], i) =>
        check(decodeHex(key), decodeHex(message), decodeHex(signature)) ? [i] : [],
      );
    expect(verdictsOf(openssl)).toEqual([0, 1, 2, 3, 11]);
    expect(verdictsOf((key, message, signature) => verify(signature, message, key, { zip215: false }))).toEqual([
      2, 3, 4, 5,
    ]);
    expect(verdictsOf(verifyEd25519)).toEqual([2, 3]);
  });

  it('takes no key of small order, in any encoding, with any R of small order', async () => {
    const message = encodeUtf8('Zcash');
    expect(new Set(SMALL_ORDER.map(hex)).size).toBe(14);
    let taken = 0;
    for (const key of SMALL_ORDER) {
      expect(isStrongEd25519Key(key)).toBe(false);
      for (const R of SMALL_ORDER) {
        const signature = concat(R, new Uint8Array(32));
        if (openssl(key, message, signature)) taken++;
        expect(await verdict(key, message, signature)).toBe(false);
      }
    }
    expect(taken).toBeGreaterThan(0);
  });

  it('agrees with OpenSSL where keys and signatures have components of small order', async () => {
    const counts = { true: 0, false: 0 };
    let library = 0;
    for (const [i, keyTorsion] of TORSION.entries()) {
      for (const [j, pointTorsion] of TORSION.entries()) {
        const message = encodeUtf8(`message ${i} ${j}`);
        const a = littleEndian(sha512(encodeUtf8(`key ${i}`))) % ORDER;
        const r = littleEndian(sha512(encodeUtf8(`nonce ${i} ${j}`))) % ORDER;
        const { key, signature } = mixedSignature(a, keyTorsion, r, pointTorsion, message);
        const holds = openssl(key, message, signature);
        counts[`${holds}`]++;
        if (verify(signature, message, key, { zip215: false })) library++;
        expect(await verdict(key, message, signature)).toBe(holds);
        const above = concat(signature.subarray(0, 32), scalarBytes(littleEndian(signature.subarray(32)) + ORDER));
        expect(await verdict(key, message, above)).toBe(false);
      }
    }
    expect(library).toBe(64);
    expect(counts.true).toBeGreaterThan(0);
    expect(counts.false).toBeGreaterThan(30);
  });

  it('knows keys of small order and other encodings as the library does', () => {
    const p = 2n ** 255n - 19n;
    for (let y = p - 3n; y < 2n ** 255n; y++) {
      for (const sign of [0, 0x80]) {
        const key = scalarBytes(y);
        key[31] = key[31]! | sign;
        let point: Point | undefined;
        try {
          point = Point.fromBytes(key, false);
        } catch {
          // Not on the curve, or not canonical.
        }
        if (point !== undefined) expect(isStrongEd25519Key(key)).toBe(!point.isSmallOrder());
        expect(isStrongEd25519Key(key)).toBe(y < p - 1n);
      }
    }
    for (const length of [0, 31, 33]) expect(isStrongEd25519Key(new Uint8Array(length).fill(7))).toBe(false);
  });

  it('is not signed for with a key that everybody refuses', () => {
    const publicKey = concat(SPKI, TORSION[3]!.toBytes());
    const signer = {
      algorithm: 'ed25519',
      publicKey,
      sign: async () => new Uint8Array(64),
      close: async () => {},
    } as const;
    expect(() => checkedSigner(signer)).toThrow(expect.objectContaining({ code: 'key-format' }));
  });
});
