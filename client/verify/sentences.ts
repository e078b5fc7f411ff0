/** The facts of an outcome as sentences for people. */
import { encodeBase64, encodeHex } from '../../merkle/bytes.ts';
import { printable } from '../../merkle/printable.ts';
import type { AlternativeName } from '../../merkle/x509/certificate-names.ts';
import { kindOfName } from '../../merkle/x509/signer-names.ts';
import { timeText } from '../../merkle/x509/utc-time.ts';
import { counted } from '../formats/counted.ts';
import type { Check, CheckName, NotProven, VerifiedTime } from './outcome.ts';
import type { ChosenRoot } from './types.ts';

/** A check in words, fit for a terminal. */
export interface CheckSentence {
  readonly name: CheckName;
  readonly detail: string;
  /** The key or the certificate that the check used, if there is one. */
  readonly by?: string;
}

/** @param given nobody read the file: its digest was given */
export function checkSentence(check: Check, given = false): CheckSentence {
  const { name } = check;
  switch (check.name) {
    case 'artifact': {
      const { algorithm, digest, subject } = check;
      const named = subject === undefined ? '' : `, which the attestation names as "${printable(subject)}"`;
      const what = given ? 'the given digest' : 'the file has the digest';
      return { name, detail: `${what} ${algorithm} ${encodeHex(digest)}${named}` };
    }
    case 'statement': {
      const { predicateType, subjects } = check;
      const detail = `of the type ${printable(predicateType)}, about ${counted(subjects, 'file')}; what it says was not judged`;
      return { name, detail };
    }
    case 'signature':
      return { name, detail: `by the key with SHA-256 ${check.fingerprint}`, by: check.by };
    case 'identity': {
      const { names, issuer } = check.identity;
      const detail = namesSentence(names, check.matched);
      return { name, detail, ...(issuer === undefined ? {} : { by: printable(issuer) }) };
    }
    case 'certificate': {
      const { serialNumber, times, by, trustDomain } = check;
      const to = trustDomain === undefined ? 'a root of the trusted root' : 'an authority of the SPIFFE bundle';
      const detail = `number ${serialNumber}, valid at ${times.map(timeText).join(', ')}, leads to ${to}`;
      return { name, detail, by: printable(by) };
    }
    case 'sct': {
      const detail = `the certificate was promised to the public at ${timeText(check.time)}`;
      return { name, detail, by: `certificate-transparency log ${encodeHex(check.logId)}` };
    }
    case 'timestamp':
      return { name, detail: `the signature was there at ${timeText(check.time)}`, by: printable(check.by) };
    case 'promise':
      return { name, detail: `the log took the entry at ${timeText(check.time)}`, by: check.by };
    case 'entry': {
      const detail = `${check.kind} ${check.version}: it is about exactly this file, signature and key`;
      return { name, detail };
    }
    case 'inclusion': {
      const { index, treeSize, hashes, leafHash, root } = check;
      const detail = `entry ${index} of ${treeSize}, by ${counted(hashes, 'hash', 'hashes')} from the leaf ${encodeBase64(leafHash)} to the root ${encodeBase64(root)}`;
      return { name, detail };
    }
    case 'checkpoint':
      return { name, detail: 'the tree is signed by the log', by: check.by };
    case 'cosignature': {
      const { timestamp, verifierKey } = check.cosignature;
      return { name, detail: `witnessed at ${timeText(timestamp * 1000)}`, by: verifierKey };
    }
    case 'quorum':
      return { name, detail: `"${check.quorum}" of the policy is met` };
    case 'witness-time':
      return { name, detail: `enough witnesses had seen the tree at ${timeText(check.time)}` };
  }
}

/** The names of a certificate, and the kind of the one that was expected. */
export function namesSentence(names: readonly AlternativeName[], matched: AlternativeName | undefined): string {
  return names
    .map((name) => (name === matched ? `${printable(name.value)} (${kindOfName(name)})` : printable(name.value)))
    .join(', ');
}

export function timeSentence({ kind, time, by }: VerifiedTime): { kind: string; time: string; by: string } {
  return {
    kind,
    time: timeText(time),
    by: kind === 'witness' ? `the quorum "${by}" of the policy` : kind === 'timestamp' ? printable(by) : by,
  };
}

const NOT_PROVEN: Readonly<
  Record<Exclude<NotProven['name'], 'certificate-transparency' | 'timestamps' | 'entries'>, string>
> = {
  file: 'that a file has this digest: the digest was given, and no file was read',
  'key-holder': 'who holds the key: you must know that from elsewhere',
  issuer: 'who vouched for the identity: no issuer was required',
  'certificate-names': 'the names in the certificate: only its key was compared with the given key',
  time: 'when it was signed: no time stamp was checked',
  'log-key-period':
    "that the log's key still counted: the trusted root ends its time, and nothing shows that the entry is older",
  inclusion: "that the entry is in the log's tree: there is only the log's promise to put it there",
  witnesses: 'that the log shows everybody the same tree: no witness was checked (give a policy with witnesses)',
};

const NO_TRANSPARENCY: Readonly<Record<Extract<NotProven, { readonly because: unknown }>['because'], string>> = {
  'no-log': 'the trusted root names no log',
  ignored: '--insecure-ignore-sct was given',
  svid: 'the certificate is an X.509-SVID, and no log holds those',
};

export function notProvenSentence(fact: NotProven): string {
  switch (fact.name) {
    case 'certificate-transparency': {
      return `certificate transparency: not asked, ${NO_TRANSPARENCY[fact.because]}`;
    }
    case 'timestamps': {
      const { count, by } = fact;
      const what = `what ${counted(count, 'time stamp')} in the bundle ${count === 1 ? 'says' : 'say'}`;
      if (by === undefined) return `${what}: no authority for them was given`;
      const signers = by.map((name) => printable(name.slice(0, 200))).join('; ');
      return `${what}: not checked, the trusted root does not have the authority (${signers})`;
    }
    case 'entries': {
      const { length } = fact.logIds;
      const what = `what ${counted(length, 'further log entry', 'further log entries')} in the bundle ${length === 1 ? 'says' : 'say'}`;
      return `${what}: not checked, the log is not trusted (ID ${fact.logIds.map(encodeBase64).join(', ')})`;
    }
    default:
      return NOT_PROVEN[fact.name];
  }
}

/** The root of several under which everything holds. */
export function rootSentence({ index, line }: ChosenRoot): string {
  return line === undefined ? `number ${index + 1} of those given` : `the one on line ${line} of its file`;
}
