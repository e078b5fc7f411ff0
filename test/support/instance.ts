/**
 * A Sigstore instance for tests: a certificate authority with its intermediate, a certificate-transparency log, a time-stamp
 * authority, a log of Rekor v1, a log of Rekor v2, and a trusted root with all of them.
 */
import * as crypto from 'node:crypto';
import { formatPublicKeyPem } from '../../client/formats/key.ts';
import { formatTlogEntry, tlogEntry } from '../../client/formats/log-entry.ts';
import { formatCheckpoint } from '../../merkle/checkpoint.ts';
import { formatNote } from '../../merkle/note.ts';
import {
  type Authority,
  bitString,
  der,
  type Extension,
  integer,
  issue,
  issueCa,
  newKeys,
  octets,
  oid,
  SIGNING,
  STAMPING,
  sequence,
  spkiOf,
  tbsOf,
  utf8,
} from '../merkle/x509/make.ts';
import { listOf, makeSct } from '../merkle/x509/make-sct.ts';
import { makeTimestamp } from '../merkle/x509/make-timestamp.ts';
import { FakeLog } from './fake-log.ts';
import { githubRun } from './fulcio.ts';

type Keys = crypto.KeyPairKeyObjectResult;
// biome-ignore lint/suspicious/noExplicitAny: JSON that tests change in any place
export type Json = any;

const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString('base64');
const sha256 = (bytes: Uint8Array | string) => crypto.hash('sha256', bytes, 'buffer');
const sign = (message: Uint8Array | string, { privateKey }: Keys) =>
  crypto.sign(privateKey.asymmetricKeyType === 'ed25519' ? null : 'sha256', Buffer.from(message), privateKey);

/** A signer with its certificate, which is valid for ten minutes. */
export interface Signer {
  readonly keys: Keys;
  readonly certificate: Buffer;
}

export interface SignerWish {
  /** When the certificate becomes valid: "2026-01-01T00:00:00Z". It ends ten minutes later. */
  readonly from?: string;
  /** The certificate-transparency log of the SCT; without an SCT if it is null. */
  readonly ctLog?: Keys | null;
  /** The URI in the certificate. */
  readonly identity?: string;
  /** The authority that issues. */
  readonly by?: Authority;
  /** Alternative names, encoded, in the place of `identity`. */
  readonly names?: readonly Buffer[];
}

const RUN = githubRun('stele-tests/release', 'release.yml', 'refs/heads/main');
/** The identity in the certificates of an instance. */
export const OWN_IDENTITY = RUN.names![0]!;
export const OWN_ISSUER = RUN.issuer!;

/** The default time of all events of an instance. */
export const NOW = '2026-08-01T12:00:00Z';
const LIFETIME_MS = 600_000;
const FROM = '2020-01-01T00:00:00Z';
const later = (time: string, ms: number) => `${new Date(Date.parse(time) + ms).toISOString().slice(0, 19)}Z`;
const FULCIO = '1.3.6.1.4.1.57264.1';
const SCT_LIST = '1.3.6.1.4.1.11129.2.4.2';

export class Instance {
  readonly root: Authority;
  readonly intermediate: Authority;
  readonly ctLog = newKeys();
  /** Trusted too, but never used. */
  readonly otherCtLog = newKeys();
  readonly timeRoot: Authority;
  readonly timeAuthority: Authority;
  readonly rekor: FakeLog;
  readonly #rekor1 = newKeys();
  readonly #rekor1Tree: FakeLog;
  readonly #domain: string;

  constructor(domain = 'sigstore.example') {
    this.#domain = domain;
    this.root = issueCa(`root of ${domain}`);
    this.intermediate = issueCa(`intermediate of ${domain}`, this.root, { pathLen: 0, usages: [SIGNING] });
    this.timeRoot = issueCa(`time root of ${domain}`);
    const stamping = { keyUsage: 0x80, usages: [STAMPING], usageCritical: true };
    this.timeAuthority = issue({ name: `time of ${domain}`, by: this.timeRoot, ...stamping });
    this.rekor = FakeLog.empty(`rekor2.${domain}`);
    this.#rekor1Tree = FakeLog.empty(`rekor.${domain}`);
  }

  /** The trusted root as JSON. */
  trustedRoot(): Json {
    const key = (spki: Uint8Array, keyDetails: string) => ({
      publicKey: { rawBytes: base64(spki), keyDetails, validFor: { start: FROM } },
    });
    const log = (baseUrl: string, spki: Uint8Array, keyDetails: string, id: Uint8Array = sha256(spki)) => ({
      baseUrl: `https://${baseUrl}`,
      hashAlgorithm: 'SHA2_256',
      ...key(spki, keyDetails),
      logId: { keyId: base64(id) },
    });
    const authority = (...chain: Authority[]) => ({
      uri: `https://${this.#domain}`,
      certChain: { certificates: chain.map(({ certificate }) => ({ rawBytes: base64(certificate.der) })) },
      validFor: { start: FROM },
    });
    const ec = 'PKIX_ECDSA_P256_SHA_256';
    const ed25519 = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), this.rekor.key.key]);
    return {
      mediaType: 'application/vnd.dev.sigstore.trustedroot+json;version=0.1',
      tlogs: [
        log(`rekor.${this.#domain}`, spkiOf(this.#rekor1.publicKey), ec),
        log(`rekor2.${this.#domain}`, ed25519, 'PKIX_ED25519', this.rekor.logId),
      ],
      certificateAuthorities: [authority(this.intermediate, this.root)],
      ctlogs: [this.ctLog, this.otherCtLog].map(({ publicKey }) => log(`ct.${this.#domain}`, spkiOf(publicKey), ec)),
      timestampAuthorities: [authority(this.timeAuthority, this.timeRoot)],
    };
  }

  /** A certificate in Fulcio's form, for a new key or a given one. */
  signer(wished: SignerWish = {}, keys = newKeys()): Signer {
    const { from = NOW, ctLog = this.ctLog, identity = OWN_IDENTITY, by = this.intermediate, names } = wished;
    const fulcio = Object.entries({ ...RUN.extensions, 1: OWN_ISSUER, 8: OWN_ISSUER }).map(
      ([number, value]): Extension => ({
        oid: `${FULCIO}.${number}`,
        value: Number(number) < 7 ? Buffer.from(value) : utf8(value),
      }),
    );
    const wish = {
      ...{ by, name: '', keys, serial: crypto.randomBytes(8), from },
      ...{ to: later(from, LIFETIME_MS), keyUsage: 0x80, usages: [SIGNING] },
      names: names ?? [der(0x86, Buffer.from(identity))],
    };
    const promised = tbsOf({ ...wish, extensions: fulcio }, keys);
    const sct = (ct: Keys) => makeSct(promised, { keys: ct, time: Date.parse(from), issuer: by.certificate.spki });
    const tbs =
      ctLog === null
        ? promised
        : tbsOf({ ...wish, extensions: [...fulcio, { oid: SCT_LIST, value: octets(listOf(sct(ctLog))) }] }, keys);
    const algorithm = sequence(oid('1.2.840.10045.4.3.2'));
    return { keys, certificate: sequence(tbs, algorithm, bitString(sign(tbs, by.keys))) };
  }

  /** A time-stamp response over the signature of a bundle. */
  stamp(signature: Uint8Array, wish: { readonly time?: string; readonly embedded?: boolean } = {}): Buffer {
    const { time = later(NOW, 60_000), embedded = true } = wish;
    return makeTimestamp({
      by: this.timeAuthority,
      message: signature,
      time: time.replace(/[-:T]/g, ''),
      serial: integer(...crypto.randomBytes(8).with(0, 1)),
      infoMore: [],
      attributes: (list) => list.slice(0, 2),
      ...(embedded && { certificates: [this.timeAuthority.certificate.der, this.timeRoot.certificate.der] }),
    });
  }

  /** A `TransparencyLogEntry` of Rekor v2 in JSON, over a hashedrekord 0.0.2 of this digest. */
  logged2(digest: Uint8Array, signature: Uint8Array, signer: Signer | Keys): Json {
    const verifier =
      'certificate' in signer
        ? { keyDetails: 'PKIX_ECDSA_P256_SHA_256', x509Certificate: { rawBytes: base64(signer.certificate) } }
        : { keyDetails: 'PKIX_ECDSA_P256_SHA_256', publicKey: { rawBytes: base64(spkiOf(signer.publicKey)) } };
    const hashedRekordV002 = {
      data: { algorithm: 'SHA2_256', digest: base64(digest) },
      signature: { content: base64(signature), verifier },
    };
    const body = JSON.stringify({ apiVersion: '0.0.2', kind: 'hashedrekord', spec: { hashedRekordV002 } });
    return formatTlogEntry(tlogEntry(this.rekor.add(Buffer.from(body))));
  }

  /** A `TransparencyLogEntry` of Rekor v1 in JSON, with a promise and with a separate index in the shard. */
  logged1(kind: string, version: string, spec: object, time = later(NOW, 60_000)): Json {
    const body = Buffer.from(JSON.stringify({ apiVersion: version, kind, spec }));
    const { index, treeSize, root, hashes } = this.#rekor1Tree.add(body);
    const logId = sha256(spkiOf(this.#rekor1.publicKey));
    const seconds = Date.parse(time) / 1000;
    const everywhere = 100_000 + index;
    const promised = `{"body":"${base64(body)}","integratedTime":${seconds},"logID":"${logId.toString('hex')}","logIndex":${everywhere}}`;
    const note = formatCheckpoint({ origin: `rekor.${this.#domain} - 42`, size: treeSize, root, extensions: [] });
    return formatTlogEntry({
      ...{ index: everywhere, logId, kind, version, integratedTime: seconds, body },
      promise: sign(promised, this.#rekor1),
      proof: { index, treeSize, root, hashes, checkpoint: this.note1(note) },
    });
  }

  /** A note with this text, signed by the log of Rekor v1. */
  note1(text: string): string {
    const keyId = sha256(spkiOf(this.#rekor1.publicKey)).subarray(0, 4);
    return formatNote(text, [{ name: `rekor.${this.#domain}`, keyId, signature: sign(text, this.#rekor1) }]);
  }
}

/** The verifier in an entry of Rekor v1: base64 of PEM. */
export function pem64(signer: Signer | Keys): string {
  if (!('certificate' in signer)) return base64(formatPublicKeyPem({ spki: spkiOf(signer.publicKey) }));
  const lines = base64(signer.certificate).match(/.{1,64}/g)!;
  return base64(`-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`);
}

export const signedBy = (signer: Signer | Keys, message: Uint8Array): Buffer =>
  sign(message, 'certificate' in signer ? signer.keys : signer);
