/** The options of signing without a key. Apart, so that a command that only names them loads nothing else. */
import type { Command } from 'commander';

export interface KeylessOptions {
  readonly keyless?: boolean;
  readonly identityToken?: string;
  readonly audience?: string;
  readonly certificateAuthority?: string;
}

/** What cosign asks for, and what Fulcio takes. */
export const DEFAULT_AUDIENCE = 'sigstore';

export function addKeylessOptions(command: Command): Command {
  return command
    .option('--keyless', 'sign without a key: with one of this run, which a certificate authority certifies')
    .option(
      '--identity-token <path>',
      'file with the identity token (or -), in the place of SIGSTORE_ID_TOKEN or of what the build system gives',
    )
    .option('--audience <text>', 'audience of the token that a build system is asked for (default: sigstore)')
    .option(
      '--certificate-authority <url>',
      "authority of Fulcio's interface, in the place of the one of --signing-config, such as https://ca.example.com",
    );
}

/** Whether the options ask for a signature without a key. */
export function isKeyless({ keyless, identityToken, audience, certificateAuthority }: KeylessOptions): boolean {
  return [keyless, identityToken, audience, certificateAuthority].some((option) => option !== undefined);
}
