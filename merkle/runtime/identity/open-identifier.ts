/** Opens what finds out who calls, from settings. */
import { MerkleError } from '../../errors.ts';
import { parsePem, pemBytes } from '../../pem.ts';
import { printable } from '../../printable.ts';
import { type Certificate, parseCertificate } from '../../x509/certificate.ts';
import { readTextFile } from '../config/settings-file.ts';
import { RuntimeError } from '../runtime-errors.ts';
import { Closers } from '../service/ends.ts';
import type { Logger } from '../service/logger.ts';
import { Identifier } from './identify.ts';
import type { IdentitySettings } from './identity-settings.ts';
import type { BundleSource } from './spiffe/types.ts';

const MAX_CLIENT_CA = 1024 * 1024;

interface IdentifierOptions {
  /** Where bearer tokens are taken; by default they are not. */
  readonly tokens?:
    | {
        /** What a token must be for (`aud`), where its issuer's settings name no other. */
        readonly audience: string;
        readonly maxLifetimeMs: number;
        /** Directory that remembers which tokens were shown. One process has it open at a time. */
        readonly usedTokens: string;
      }
    | undefined;
  readonly logger: Logger;
}

export interface OpenIdentifier {
  readonly identifier: Identifier;
  /** What is wrong although callers are found out, one sentence each. */
  problems(): readonly string[];
  /** Reads the file of `clientCa` again, for open connections too. @throws RuntimeError `config`, `file`: the one before stays in use */
  rereadClientCa(): void;
  close(): Promise<void>;
}

/** @throws RuntimeError `config`, `file` and others: a file cannot be used, or nobody could prove who calls */
export async function openIdentifier(
  settings: IdentitySettings,
  { tokens, logger }: IdentifierOptions,
): Promise<OpenIdentifier> {
  const { trustDomains, bundleMap, workloadApi, clientCa, issuers } = settings;
  const hasBundles = trustDomains.length > 0 || bundleMap !== undefined || workloadApi !== undefined;
  if (!hasBundles && clientCa === undefined && (tokens === undefined || issuers.length === 0)) {
    const why =
      issuers.length > 0
        ? 'the settings of identities name issuers of tokens alone, and tokens are off'
        : 'the settings of identities are empty';
    throw new RuntimeError(
      'config',
      `${why}, so that nobody could prove who calls: name trustDomains, workloadApi or clientCa`,
    );
  }
  const closers = new Closers();
  try {
    let bundles: BundleSource | undefined;
    if (hasBundles) {
      const { openBundleSource } = await import('./spiffe/open-sources.ts');
      bundles = await openBundleSource({ trustDomains, bundleMap, workloadApi }, { logger });
      closers.add(() => bundles!.close());
    }
    const readClientCa = () => (clientCa === undefined ? undefined : readAuthorities(clientCa));
    const opened = tokens && (await openTokens(settings, tokens, bundles, closers));
    const identifier = new Identifier({ bundles, clientCa: readClientCa(), tokens: opened?.tokens });
    closers.add(async () => identifier.close());
    return {
      identifier,
      problems: () => [...(bundles?.problem === undefined ? [] : [bundles.problem]), ...(opened?.problems() ?? [])],
      rereadClientCa: () => identifier.trustClients(readClientCa()),
      close: () => closers.close(),
    };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

async function openTokens(
  settings: IdentitySettings,
  { audience, maxLifetimeMs, usedTokens }: NonNullable<IdentifierOptions['tokens']>,
  bundles: BundleSource | undefined,
  closers: Closers,
) {
  const { openTokenVerifier } = await import('./tokens/open-token-verifier.ts');
  const { openUsedTokens } = await import('./tokens/used-tokens.ts');
  const { ConnectionTokens } = await import('./tokens/connection-tokens.ts');
  const verifier = await openTokenVerifier(settings, { bundles });
  closers.add(() => verifier.close());
  const used = await openUsedTokens(usedTokens);
  closers.add(() => used.close());
  const kinds = [
    ...(bundles === undefined ? [] : ['jwt-svid' as const]),
    ...(settings.issuers.length > 0 ? ['id-token' as const] : []),
  ];
  const bound = new ConnectionTokens(verifier, used, { audience, maxLifetimeMs });
  const verify = (token: string, connection: object) => bound.verify(token, connection);
  return { tokens: { kinds, verify }, problems: () => verifier.problems };
}

/** The authorities in a file (PEM). @param setting names the file in messages. @throws RuntimeError `config`, `file` */
export function readAuthorities(file: string, setting = 'clientCa'): Certificate[] {
  const wrong = (why: string) => new RuntimeError('config', `\`${setting}\`: ${printable(file)} ${why}`);
  const text = readTextFile(file, file, MAX_CLIENT_CA);
  try {
    const blocks = parsePem(text);
    const other = blocks.find(({ label }) => label !== 'CERTIFICATE');
    if (blocks.length === 0 || other !== undefined) throw wrong('must hold certificates in PEM, and nothing else');
    const certificates = blocks.map((block) => parseCertificate(pemBytes(block)));
    const notCa = certificates.find(({ isCa }) => !isCa);
    if (notCa !== undefined)
      throw wrong(`holds the certificate of "${printable(notCa.subject)}", which is no authority`);
    return certificates;
  } catch (error) {
    if (error instanceof MerkleError) throw wrong(`cannot be read: ${error.message}`);
    throw error;
  }
}
