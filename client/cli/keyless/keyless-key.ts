/** Signing without a key: where the identity token comes from, and the signer of one run. */
import { printable } from '../../../merkle/printable.ts';
import { kindOfName } from '../../../merkle/x509/signer-names.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { ClientError, usage } from '../../errors.ts';
import type { KeylessSigner } from '../../submit/keyless/keyless-signer.ts';
import type { LogRequestOptions } from '../../submit/types.ts';
import { readWhole } from '../files.ts';
import { inputName } from '../input.ts';
import type { GivenTrust } from '../log-options.ts';
import { note, warn } from '../report.ts';
import { authorityOf, type SelectedServices } from '../signing-services.ts';
import { clientSvidId, type TlsOptions } from '../tls-authorities.ts';
import { DEFAULT_AUDIENCE, type KeylessOptions } from './keyless-options.ts';

/**
 * The signer of one run, with its certificate.
 *
 * @throws ClientError `usage`, `file`, `signing-config`, `trusted-root`, `trust`, and the codes of `keylessSigner`
 */
export async function keylessKey(
  options: KeylessOptions & SelectedServices & Pick<TlsOptions, 'clientSvid'>,
  given: GivenTrust,
  http: LogRequestOptions,
): Promise<KeylessSigner> {
  const authority = chosenAuthority(options);
  const trustedRoot = given.root?.();
  const { keylessSigner } = await import('../../submit/keyless/keyless-signer.ts');
  const shown = await shownIdentity(options, http.signal);
  const signer = await keylessSigner({ authority, ...shown, trustedRoot, log: given.trust, http });
  const { certificate, name, identity, logged } = signer.issued;
  const whom = `${printable(name.value)} (${kindOfName(name)}, issuer ${printable(identity.issuer!)})`;
  const place = logged === undefined ? '' : `, in the log ${logged.origin} as entry ${logged.index}`;
  note(`${authority} certified the key of this run for ${whom} until ${timeText(certificate.notAfter)}${place}`);
  if (trustedRoot === undefined) {
    warn(
      `without --trusted-root this command takes what ${authority} certifies as it comes: verifiers need an authority of their trusted root`,
    );
  }
  return signer;
}

function chosenAuthority(options: KeylessOptions & SelectedServices): string {
  const { certificateAuthority: named } = options;
  const configured = authorityOf(options);
  if (named !== undefined && configured !== undefined) {
    throw usage('--signing-config names the services: leave out --certificate-authority');
  }
  const authority = named ?? configured;
  if (authority !== undefined) return authority;
  throw usage(
    'no certificate authority is named: give --certificate-authority, or a signing configuration with one ("caUrls")',
  );
}

/**
 * A token that is given counts before `--client-svid`, and that one before what the environment gives: an agent of SPIFFE would give a
 * JWT-SVID too.
 *
 * @throws ClientError `usage`, `file`, `identity-token`, `cancelled`; RuntimeError `svid`
 */
async function shownIdentity(
  options: KeylessOptions & SelectedServices & Pick<TlsOptions, 'clientSvid'>,
  signal: AbortSignal | undefined,
): Promise<{ readonly token: string } | { readonly spiffeId: string }> {
  const { clientSvid, identityToken: path, audience } = options;
  const isTokenGiven = path !== undefined || audience !== undefined || (process.env.SIGSTORE_ID_TOKEN ?? '') !== '';
  if (clientSvid !== undefined && !isTokenGiven) {
    const spiffeId = await clientSvidId(clientSvid);
    note(`using the X.509-SVID of ${spiffeId}`);
    return { spiffeId };
  }
  const { token, from } = await identityToken(options, signal);
  note(`using the identity token of ${printable(from)}`);
  return { token };
}

/** The token, and where it is from, for people. @throws ClientError `usage`, `file`, `identity-token`, `cancelled` */
async function identityToken(
  { identityToken: path, audience, ...services }: KeylessOptions & SelectedServices,
  signal: AbortSignal | undefined,
): Promise<{ readonly token: string; readonly from: string }> {
  const { looksLikeToken, MAX_IDENTITY_TOKEN } = await import('../../submit/keyless/identity-token.ts');
  if (path !== undefined) {
    if (looksLikeToken(path)) throw byValue();
    if (audience !== undefined) throw usage('the token in a file has its audience: leave out --audience');
    const file = await readWhole(path, MAX_IDENTITY_TOKEN, 'an identity token');
    return { token: Buffer.from(file).toString('latin1'), from: inputName(path) };
  }
  const { env } = process;
  const variable = env.SIGSTORE_ID_TOKEN ?? '';
  if (variable !== '') return { token: variable, from: 'the variable SIGSTORE_ID_TOKEN' };
  const { ambientToken } = await import('./ambient-tokens.ts');
  const found = await ambientToken(env, audience ?? DEFAULT_AUDIENCE, signal);
  if (found !== undefined) return found;
  throw new ClientError('identity-token', noToken(env, services));
}

/** The value is not repeated: it would go from the terminal to the log of a build. */
function byValue(): ClientError {
  return usage(
    '--identity-token takes the name of a file with the token, or - for standard input, and not the token itself: other users see the arguments of a process, and builds print them. Get a new token, and write it to a file, or put it into the variable SIGSTORE_ID_TOKEN',
  );
}

function noToken(env: NodeJS.ProcessEnv, { signingServices }: SelectedServices): string {
  const ways = 'give a file with one (--identity-token), or put it into the variable SIGSTORE_ID_TOKEN';
  if (env.GITHUB_ACTIONS === 'true') {
    return `GitHub Actions gives this job no identity token: the job needs \`permissions: id-token: write\`; or ${ways}`;
  }
  if (env.GITLAB_CI === 'true') {
    return `this job of GitLab has no identity token: it needs \`id_tokens: SIGSTORE_ID_TOKEN: aud: ${DEFAULT_AUDIENCE}\`; or ${ways}`;
  }
  const providers = signingServices?.oidcUrls.map(({ url }) => printable(url)) ?? [];
  const at = providers.length === 0 ? '' : ` of ${providers.slice(0, 3).join(' or ')}`;
  return `there is no identity token, and no build system here that gives one: ${ways}. This command opens no browser: get a token${at} as its provider describes it`;
}
