/** `stele verify --ceremony`: whether a root was made in a ceremony, as its transcript says it. */
import { basename } from 'node:path';
import { equal } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { INTOTO_TYPE } from '../../../merkle/rekor/dsse.ts';
import type { Primitives } from '../../../merkle/rekor/primitives.ts';
import { usage } from '../../errors.ts';
import type { Bundle } from '../../formats/bundle.ts';
import { parseBundles } from '../../formats/bundle-list.ts';
import { parsePublicKeyPem } from '../../formats/key.ts';
import { broken } from '../../trust/ceremony/ceremony.ts';
import {
  CEREMONY_TYPE,
  type CheckedCeremony,
  checkTranscript,
  checkTranscriptSigners,
  MAX_ENVELOPE,
  MAX_ROOT,
  transcriptSigner,
} from '../../trust/ceremony/transcript.ts';
import type { Outcome } from '../../verify/outcome.ts';
import { checkSentence, notProvenSentence } from '../../verify/sentences.ts';
import { checkUnderRoots } from '../../verify/under-roots.ts';
import { readWhole } from '../files.ts';
import { inputName } from '../input.ts';
import { print } from '../report.ts';
import { refuseOthers, type VerifyOptions } from './arguments.ts';
import { presentTime } from './demands.ts';
import { readVerifyTrust } from './verify-trust.ts';

/** A proof of the log beside each signature. */
const MAX_BUNDLES = 16 * MAX_ENVELOPE;
const WIDTH = 14;

/** @throws ClientError `ceremony`, `tuf-malformed`, `tuf-signatures`, and those of `checkBundle` */
export async function verifyCeremony(
  files: readonly string[],
  path: string,
  options: VerifyOptions,
  primitives: Primitives,
): Promise<void> {
  const trusted = ['trustedRoot', 'logKey', 'policy', 'lastCheckpoint', 'trust', 'maxTrustAge'] as const;
  refuseOthers(options, ['ceremony', ...trusted, 'witnessTime', 'at', 'json'], '--ceremony');
  const [file, ...more] = files;
  if (file === undefined || more.length > 0) throw usage('--ceremony is about one root: name its file');
  const trust = await readVerifyTrust(options);
  const root = await readWhole(file, MAX_ROOT, 'root metadata');
  const bundles = bundlesOf(await readWhole(path, MAX_BUNDLES, 'a logged transcript'));
  const statement = statementOf(bundles);
  const ceremony = checkTranscript(statement, root);
  const now = presentTime(options);
  const ended = ceremony.metadata.signed.expires <= now;
  const artifact = { sha256: primitives.hash('sha256', root) };
  const signed = bundles.map((bundle) => {
    const holder = transcriptSigner(statement, bundle.content.signature, ceremony);
    if (holder === undefined) throw broken('a signature of the transcript is by no holder of the ceremony');
    const { info: key } = parsePublicKeyPem(ceremony.keys.get(holder)!.step.publicKey, primitives);
    const request = { bundle, artifact, key, predicateType: CEREMONY_TYPE, ...trust, now };
    return { holder, outcome: checkUnderRoots({ ...request, witnessTime: options.witnessTime === true }, primitives) };
  });
  const holders = [...new Set(signed.map(({ holder }) => holder))];
  checkTranscriptSigners(ceremony, holders);
  print(
    options.json,
    asJson(file, path, ceremony, holders, signed, ended),
    lines(file, ceremony, signed, holders, ended),
  );
}

function bundlesOf(file: Uint8Array): Bundle[] {
  return parseBundles(file).map((one) => {
    if ('error' in one) throw one.error;
    return one.bundle;
  });
}

function statementOf(bundles: readonly Bundle[]): Uint8Array {
  const [first, ...others] = bundles.map(({ content }) => {
    if (content.kind === 'dsse' && content.payloadType === INTOTO_TYPE) return content.payload;
    throw broken('a bundle of the transcript holds no statement');
  });
  if (others.some((other) => !equal(other, first!))) throw broken('the bundles hold different transcripts');
  return first!;
}

interface Signed {
  readonly holder: string;
  readonly outcome: Outcome;
}

function lines(
  file: string,
  ceremony: CheckedCeremony,
  signed: readonly Signed[],
  holders: readonly string[],
  ended: boolean,
): string[] {
  const { begin, keys, root, signatures, metadata, authority } = ceremony;
  const line = (label: string, detail: string) => `  ${label.padEnd(WIDTH)}${detail}`;
  const [first] = signed;
  const checks = first!.outcome.checks.flatMap((check) => {
    const { name, detail } = checkSentence(check);
    return ['checkpoint', 'cosignature', 'quorum', 'witness-time'].includes(name)
      ? [line(LABEL[name] ?? name, detail)]
      : [];
  });
  return [
    `OK: ${printable(basename(inputName(file)))} was made in the ceremony "${printable(begin.name)}", as its transcript says`,
    '',
    'Checked:',
    line('root', `version ${metadata.signed.version}, expires ${root!.expires}, digest ${root!.sha256}`),
    line('steps', `each follows from the one before it; the first at ${begin.time}`),
    line('package', `${printable(begin.package.file)} with SHA-256 ${begin.package.sha256}`),
    ...programsOf(ceremony).map((text) => line('programs', text)),
    ...[...keys.values()].map(({ step, key }) => {
      const { token } = step;
      const what = `${key.keyid} in the token "${printable(token.label)}" (${printable(token.manufacturer)} ${printable(token.model)})`;
      return line(step.holder, what);
    }),
    ...(authority === undefined ? [] : [line('authority', authorityText(authority))]),
    line('attributes', 'of each key: sensitive, not extractable, local, never extractable, always sensitive'),
    line('root', `targets: ${metadata.signed.roles.targets.threshold} of the same holders must sign`),
    line('signatures', `of the root by ${[...signatures.keys()].join(', ')}; ${begin.threshold} are needed`),
    line('transcript', `signed by ${holders.join(', ')}; ${begin.threshold} are needed`),
    ...signed.map(({ holder, outcome: { entries } }) =>
      line('logged', `the signature of ${holder}: entry ${entries[0]!.index} of ${printable(entries[0]!.origin)}`),
    ),
    ...checks,
    '',
    'Not proven:',
    ...notProven(ceremony, signed, ended).map((text) => `  ${text}`),
  ];
}

/** The root of a certificate authority: the digest is that of its certificate, which people compare. */
function authorityText({ token, sha256 }: NonNullable<CheckedCeremony['authority']>): string {
  const where = `"${printable(token.label)}" (${printable(token.manufacturer)} ${printable(token.model)})`;
  return `a root with the SHA-256 ${sha256}, its key in the token ${where}`;
}

/** What ran the steps beside the package: each set of programs once. The machines of holders may differ. */
function programsOf({ begin, keys, root, signatures, authority }: CheckedCeremony): string[] {
  const held = [...[...keys.values()].map(({ step }) => step), ...(authority === undefined ? [] : [authority])];
  const steps = [begin, ...held, root!, ...signatures.values()];
  const texts = steps.map(
    ({ node, platform, dependencies }) =>
      `Node ${node} on ${platform}, and the packages that Stele loads, with SHA-256 ${dependencies}`,
  );
  return [...new Set(texts)].map(printable);
}

const LABEL: Readonly<Record<string, string>> = { cosignature: 'cosigned', 'witness-time': 'time' };

/** What a token's word is worth, and what the log does not say. */
function notProven(ceremony: CheckedCeremony, signed: readonly Signed[], ended: boolean): string[] {
  const { keys, root, authority } = ceremony;
  const programs = programsOf(ceremony);
  const held = [
    ...[...keys.values()].map(({ step }) => ({ who: step.holder, token: step.token })),
    ...(authority === undefined ? [] : [{ who: 'the certificate authority', token: authority.token }]),
  ];
  const software = held.filter(({ token }) => /softhsm/i.test(`${token.manufacturer} ${token.model}`));
  const names = software.map(({ who }) => who).join(', ');
  const left = new Set(
    signed.flatMap(({ outcome }) =>
      outcome.notProven.flatMap((fact) => (fact.name === 'key-holder' ? [] : [notProvenSentence(fact)])),
    ),
  );
  return [
    'that the keys are in hardware and never were elsewhere: the attributes are the word of the PKCS#11 module on the machine of ' +
      'the ceremony. No manufacturer attests them, and another module could say the same',
    ...(software.length === 0
      ? []
      : [`anything of the kind for ${names}: SoftHSM is software, and its keys are files`]),
    ...(programs.length === 1
      ? []
      : [`that all steps ran with the same programs: the steps record ${programs.length} different sets of them`]),
    'who the holders are, and that each was there: those who were say it, and sign it on paper',
    'when a step was done: its time is by the clock of that machine',
    ...(ended ? [`that the root still counts: it expired at ${root!.expires}`] : []),
    ...left,
  ];
}

function asJson(
  file: string,
  path: string,
  ceremony: CheckedCeremony,
  holders: readonly string[],
  signed: readonly Signed[],
  ended: boolean,
): object {
  const { begin, keys, root, signatures, metadata, authority } = ceremony;
  return {
    file,
    transcript: path,
    ceremony: begin.name,
    threshold: begin.threshold,
    root: { version: metadata.signed.version, sha256: root!.sha256, expires: root!.expires },
    package: begin.package,
    ...(authority && { authority: { sha256: authority.sha256, token: authority.token } }),
    programs: programsOf(ceremony),
    keys: [...keys.values()].map(({ step, key }) => ({
      holder: step.holder,
      keyid: key.keyid,
      token: step.token,
      module: step.module,
      attributes: step.attributes,
    })),
    signedRoot: [...signatures.keys()],
    signedTranscript: holders,
    entries: signed.map(
      ({
        outcome: {
          entries: [entry],
        },
      }) => ({
        origin: entry!.origin,
        index: entry!.index,
        cosignatures: entry!.cosigned,
      }),
    ),
    attested: false,
    notProven: notProven(ceremony, signed, ended),
  };
}
