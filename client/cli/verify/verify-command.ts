/** `stele verify`: check files against their proofs, without a network. */
import { Command, Option } from 'commander';
import { usage } from '../../errors.ts';
import { collect } from '../program.ts';
import { SPIFFE_BUNDLE_HELP } from '../spiffe-files.ts';
import { addTrustOptions } from '../trust-options.ts';
import { refuseOthers, requestedSigner, type VerifyOptions } from './arguments.ts';

const HELP = `
Nothing leaves this machine, and nothing is fetched. Say whose signature it must be (--key, or --identity with --issuer), and
which log you trust (--trusted-root, --log-key, --policy; whatever is given must hold). Without one of these three, the
repository counts that \`stele trust use\` follows, as far as its news are here.

A digest stands in the place of a file that is not here, such as a container image. A file of such a name is ./sha256:….
With --checksums each NAME of the list has its NAME.sigstore.json, below the current directory, or all have the --bundle.

A path may be a pipe, such as <(command) in a shell; - is standard input, for one thing in a command.

Exit status: 0 all of it holds, 1 something does not, 2 it could not be checked. Of many files: 1 if any is refused, else 2 if
any could not be checked.

Examples:
  stele verify app.tgz --key app.tgz.pub.pem
  stele verify app.tgz --key app.tgz.pub.pem --log-key 'log.example.com+1a2b3c4d+AbCd…'
  stele verify app.tgz --key app.tgz.pub.pem --policy trust/policy --trusted-root trust/trusted_root.json
  stele verify app.tgz --trusted-root trusted_root.json --identity me@example.com --issuer https://accounts.example.com
  stele verify app.tgz --trusted-root trusted_root.json --issuer https://token.actions.githubusercontent.com \\
    --identity-regexp 'https://github.com/example/app/\\.github/workflows/release\\.yml@refs/tags/v.*'
  stele verify app.tgz --identity 'spiffe://example.org/build/**' --spiffe-bundle example.org=bundle.json \\
    --policy trust/policy --witness-time
  stele verify app.tgz --bundle provenance.json --type slsaprovenance1 --key builder.pub.pem --policy trust/policy
  stele verify sha256:9f86…0a08 --bundle image.sigstore.json --key release.pub.pem --policy trust/policy
  curl -sf https://example.com/app.tgz | stele verify - --bundle app.sigstore.json --key release.pub.pem --policy trust/policy
  stele verify --checksums SHA256SUMS --bundle provenance.json --key builder.pub.pem --policy trust/policy
  stele verify dist/*.tgz --key release.pub.pem --policy trust/policy --json
  stele verify app.tgz --trusted-root own_root.json --identity me@example.com --issuer https://id.example.com \\
    --require-logs 2 --require-timestamps 1
  stele verify app.tgz --tlog-proof app.tgz.tlog-proof --policy trust/policy --key app.tgz.pub.pem
  stele verify --leaf-hash 1f2e… --tlog-proof entry.tlog-proof --policy trust/policy
  stele verify 1.root.json --ceremony transcript.sigstore.jsonl --policy trust/policy
  stele verify --evidence monitor-state/evidence/0a1b….json --log-key 'log.example.com+1a2b3c4d+AbCd…'`;

export function verifyCommand(): Command {
  const command = new Command('verify')
    .description('Check files against their proofs (Sigstore bundles, tlog-proofs), offline')
    .argument('[files...]', 'the files that were signed, or digests of them: sha256:HEX, sha384:HEX, sha512:HEX')
    .option('--bundle <path>', 'the proof of one file, or of the digests (default: FILE.sigstore.json)')
    .option('--checksums <path>', 'a list as of `sha256sum`: verify its digests, and read none of its files')
    .addOption(
      new Option('--tlog-proof <path>', 'a c2sp.org/tlog-proof of one file, in the place of a bundle').conflicts(
        'bundle',
      ),
    )
    .option('--leaf-hash <hash>', 'with --tlog-proof: the leaf of any log, in hex or base64, in the place of a file')
    .option('--key <path>', "the signer's public key (PEM)")
    .option('--identity <name>', 'the name that the certificate must have: e-mail, URI (SPIFFE ID), DNS or user name')
    .addOption(new Option('--identity-regexp <re2>', 'the same as a pattern for all of it').conflicts('identity'))
    .option('--issuer <url>', 'the identity provider that must have vouched for them')
    .addOption(new Option('--issuer-regexp <re2>', 'the same as a pattern for all of it').conflicts('issuer'))
    .option('--extension <name=value>', 'another extension of Fulcio, by name or OID; can be repeated', collect)
    .option('--type <type>', 'an attestation of this predicate type: a short name, as in `stele attest`, or a URI')
    .option('--subject <name>', 'an attestation that calls the file so')
    .option('--spiffe-bundle <[domain=]path>', SPIFFE_BUNDLE_HELP, collect)
    .option('--require-sct', 'refuse a certificate if the trusted root names no certificate-transparency log')
    .addOption(
      new Option(
        '--insecure-ignore-sct',
        'take a certificate that no certificate-transparency log has promised to publish',
      ).conflicts('requireSct'),
    )
    .option(
      '--trusted-root <path>',
      "Sigstore's trusted_root.json: keys of logs and authorities; all must hold under one root of a file with several",
    )
    .option('--log-key <vkey>', "the log's verifier key, as the log prints it at start, or a file with it")
    .option('--policy <path>', 'trust policy (tlog-policy): its log and its quorum of witnesses must have signed')
    .option(
      '--last-checkpoint <path>',
      'the last checkpoint of a frozen log: a proof that leads beyond it is refused; can be repeated',
      collect,
    );
  return addTrustOptions(command)
    .option('--witness-time', "take the time of the signature from the policy's witnesses")
    .option(
      '--require-logs <n>',
      'how many different logs must hold the signature (default: 1); an operator counts once',
    )
    .option(
      '--require-timestamps <n>',
      'how many different time-stamp authorities must have seen the signature (default: 0); an operator counts once',
    )
    .option('--at <time>', "take this for the present (RFC 3339), not this machine's clock: later evidence is refused")
    .option(
      '--evidence <path>',
      "check a file of a monitor's or witness's evidence instead (with --log-key: of that log)",
    )
    .option('--ceremony <path>', 'check root metadata against the logged transcript of the ceremony that made them')
    .option('--json', 'print the result as JSON; of several files as a list')
    .addHelpText('after', HELP)
    .action(verify);
}

async function verify(files: readonly string[], options: VerifyOptions & { evidence?: string }): Promise<void> {
  if (options.evidence !== undefined) {
    if (files.length > 0) throw usage('--evidence is a file of its own: leave the others out');
    refuseOthers(options, ['evidence', 'logKey', 'json'], '--evidence');
    const { verifyEvidenceFile } = await import('./verify-evidence.ts');
    return await verifyEvidenceFile(options.evidence, options);
  }
  const stop = new AbortController();
  const interrupted = () => stop.abort();
  process.once('SIGINT', interrupted);
  try {
    if (options.leafHash !== undefined) return await leaf(files, options);
    if (options.ceremony !== undefined) {
      const { verifyCeremony } = await import('./verify-ceremony.ts');
      return await verifyCeremony(files, options.ceremony, options, await loadPrimitives(1));
    }
    const { artifactsOf } = await import('./artifacts.ts');
    const artifacts = await artifactsOf(files, options);
    const signer = requestedSigner(options);
    const primitives = await loadPrimitives(artifacts.length);
    if (options.tlogProof !== undefined) {
      if (options.witnessTime)
        throw usage("a tlog-proof has no other time than the witnesses': leave out --witness-time");
      if (options.type !== undefined || options.subject !== undefined) {
        throw usage('a tlog-proof holds no attestation: --type and --subject need a bundle');
      }
      if (options.requireLogs !== undefined || options.requireTimestamps !== undefined) {
        throw usage(
          'a tlog-proof is of one log and has no time stamp: --require-logs and --require-timestamps need a bundle',
        );
      }
      const { verifyProof } = await import('./proofs.ts');
      return await verifyProof(artifacts[0]!, signer, options, primitives, stop.signal);
    }
    const { verifyFiles } = await import('./bundles.ts');
    await verifyFiles(artifacts, signer, options, primitives, stop.signal);
  } finally {
    process.removeListener('SIGINT', interrupted);
  }
}

async function leaf(files: readonly string[], options: VerifyOptions): Promise<void> {
  if (options.tlogProof === undefined) throw usage('--leaf-hash is checked with a proof: give --tlog-proof as well');
  if (files.length > 0 || options.key !== undefined) {
    throw usage('--leaf-hash stands in the place of a file and of its signer: leave those out');
  }
  refuseOthers(
    options,
    ['leafHash', 'tlogProof', 'policy', 'logKey', 'lastCheckpoint', 'trust', 'maxTrustAge', 'at', 'json'],
    '--leaf-hash',
  );
  const { verifyLeafHash } = await import('./proofs.ts');
  await verifyLeafHash(options, await loadPrimitives(1));
}

async function loadPrimitives(files: number) {
  const { nodePrimitives } = await import('../../../merkle/runtime/crypto/node-primitives.ts');
  if (files > 1) return nodePrimitives();
  const { messagePrimitives } = await import('../../../merkle/runtime/crypto/message-primitives.ts');
  return messagePrimitives(nodePrimitives());
}
