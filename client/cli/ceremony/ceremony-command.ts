/** `stele ceremony`: makes the first root of a TUF repository with the holders of keys and their tokens. */
import { Command } from 'commander';
import { addLogOptions } from '../log-options.ts';
import { makeAuthority } from './authority-step.ts';
import { begin } from './begin.ts';
import { logTranscript } from './ceremony-log.ts';
import { makeRoot, makeTranscript } from './ceremony-root.ts';
import { script } from './ceremony-script.ts';
import { status } from './ceremony-status.ts';
import { makeKey, signRoot, signTranscript } from './holder-steps.ts';

const HELP = `
The directory travels between the holders. It holds the plan, ceremony.yaml, and what each step adds; nothing in it is
secret. Each holder has a PKCS#11 token and a PIN, and runs the commands with --holder in a process of their own. No command
but \`log\` uses a network. Each can be repeated after a crash: what was done is not done twice.

A PIN comes from a prompt that shows nothing, or from a file of mode 0600. No command tries a PIN twice.

  # ceremony.yaml
  name: root of example.com
  holders: [holder-1, holder-2, holder-3, holder-4, holder-5]
  threshold: 3
  targets: 2                # signatures of targets; default: as many as of a root
  online: online.pub.pem    # public key of the service that signs snapshot and timestamp
  expires: 365d             # of a root
  authority:                # the root of a certificate authority, if there is to be one
    name: signers of example.com
    expires: 3650d

Exit status: 0 the step is done, 1 something does not hold, 2 it could not be tried.

Examples:
  stele ceremony script ceremony > script.md
  stele ceremony begin ceremony --package stele-0.1.0.tgz
  stele ceremony key ceremony --holder holder-1 --module libsofthsm2.so --token holder-1
  stele ceremony authority ceremony --module libsofthsm2.so --token ca
  stele ceremony root ceremony
  stele ceremony sign ceremony --holder holder-1
  stele ceremony transcript ceremony
  stele ceremony sign-transcript ceremony --holder holder-1
  stele ceremony log ceremony --log https://log.example.com --policy policy
  stele verify ceremony/1.root.json --ceremony ceremony/transcript.sigstore.jsonl --policy policy`;

export function ceremonyCommand(): Command {
  const command = new Command('ceremony')
    .description('Make the first root of a TUF repository, with keys in the tokens of several holders')
    .helpCommand(false)
    .addHelpText('after', HELP);
  const step = (name: string, description: string, example: string) =>
    command
      .command(name)
      .description(description)
      .argument('<dir>', 'the directory of the ceremony')
      .addHelpText('after', `\nExample:\n  stele ceremony ${name} ceremony${example}`);
  const jsonStep = (name: string, description: string, example: string) =>
    step(name, description, example).option('--json', 'print the result as JSON');
  const holderStep = (name: string, description: string, example: string) =>
    jsonStep(name, description, example)
      .requiredOption('--holder <name>', 'the holder whose token is used')
      .option('--pin-file <file>', 'file of mode 0600 with the PIN (default: a prompt asks)');
  const inRecordedToken = (name: string, description: string) =>
    holderStep(name, description, ' --holder holder-1').option(
      '--module <module>',
      'absolute path or file name of the PKCS#11 module (default: the one that made the key)',
    );

  jsonStep('begin', 'Record the plan and the package that runs', ' --package stele-0.1.0.tgz')
    .requiredOption('--package <file>', 'the package (npm pack) that is installed here: what runs must be in it')
    .action(begin);
  holderStep(
    'key',
    "Make a holder's key inside the token, and record what the token says of it",
    ' --holder holder-1 --module libsofthsm2.so --token holder-1',
  )
    .requiredOption('--module <module>', 'absolute path or file name of the PKCS#11 module')
    .requiredOption('--token <label>', 'label of the token')
    .option('--label <label>', 'label of the key (default: stele-root- and the number of the ceremony)')
    .action(makeKey);
  jsonStep(
    'authority',
    'Make the root of the certificate authority that the plan names, with its key in a token of its own',
    ' --module libsofthsm2.so --token ca',
  )
    .requiredOption('--module <module>', 'absolute path or file name of the PKCS#11 module')
    .requiredOption('--token <label>', 'label of the token')
    .option('--label <label>', 'label of the key (default: stele-ca- and the number of the ceremony)')
    .option('--pin-file <file>', 'file of mode 0600 with the PIN (default: a prompt asks)')
    .action(makeAuthority);
  jsonStep('root', 'Make the root metadata that name the keys of all holders', '').action(makeRoot);
  inRecordedToken('sign', 'Sign the root with the key of a holder').action(signRoot);
  jsonStep('transcript', 'Make the transcript: a statement about the root, with every step', '').action(makeTranscript);
  inRecordedToken('sign-transcript', 'Sign the transcript with the key of a holder').action(signTranscript);
  const log = step(
    'log',
    'Log the signed transcript, and keep the proofs',
    ' --log https://log.example.com --policy policy',
  );
  addLogOptions(log).action(logTranscript);
  jsonStep('status', 'Say what is done, and what comes next', '').action(status);
  step('script', 'Print the script of the day: who does and reads what, and what to compare', ' > script.md').action(
    script,
  );
  return command;
}
