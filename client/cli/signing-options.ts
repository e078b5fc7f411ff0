/** The options of what signs, apart from what reads them: `stele decide` has them, and seldom signs. */
import type { Command } from 'commander';
import { addKeylessOptions } from './keyless/keyless-options.ts';
import { addSvidOptions } from './svid-options.ts';
import { addTokenOptions } from './token-options.ts';

/** The key that signs, its certificate, and the services of a signature. */
export function addKeyOptions(command: Command): Command {
  command
    .option('--key <path>', "private key to sign with (PEM, cosign's too; ECDSA, Ed25519, RSA)")
    .option('--passphrase-file <path>', 'file with the passphrase of --key')
    .option('--passphrase-env <name>', 'environment variable with the passphrase of --key');
  addSigningConfigOption(command, '--log and --tsa');
  addTokenOptions(command, 'sign with a key in a token', 'label of the key in the token')
    .option(
      '--agent-key <key>',
      'sign with an ECDSA key in the ssh-agent of SSH_AUTH_SOCK: the file of its public key, or its fingerprint (SHA256:…)',
    )
    .option('--certificate <path>', "the key's certificate, and those above it (PEM): logged instead of the key")
    .option(
      '--tsa <url>',
      'time-stamp authority (RFC 3161) that stamps each signature: verifiers of certificates want one',
    );
  return addSvidOptions(addKeylessOptions(command));
}

export function addSigningConfigOption(command: Command, instead: string): Command {
  return command.option(
    '--signing-config <path>',
    `Sigstore's signing_config.json (v0.2), whose services are used in the place of ${instead}`,
  );
}
