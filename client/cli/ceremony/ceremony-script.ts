/** `stele ceremony script`: the script of the day, in Markdown, to print and to sign on paper. */

import { printable } from '../../../merkle/printable.ts';
import { ceremonyOf } from '../../trust/ceremony/ceremony.ts';
import { readCeremonyPlan } from '../../trust/ceremony/ceremony-plan.ts';
import { CeremonyStore } from '../../trust/ceremony/ceremony-store.ts';
import { shellWord } from '../called-as.ts';
import { writeOut } from '../report.ts';
import { grouped } from './ceremony-words.ts';

/** To write 64 digits by hand, as they are read aloud. */
const DIGITS = Array(16).fill('____').join(' ');

/** Before the ceremony begins the places for digests are empty, and afterwards filled as far as it has come. */
export async function script(dir: string): Promise<void> {
  const store = new CeremonyStore(dir);
  const { plan } = await readCeremonyPlan(store);
  const steps = await store.steps();
  const done = steps.length === 0 ? undefined : ceremonyOf(steps);
  const { name, holders, threshold } = plan;
  const digits = (hex: string | undefined) => (hex === undefined ? DIGITS : grouped(hex));
  const here = (name: string, more = '') => `    stele ceremony ${name} ${shellWord(dir)}${more}`;
  const lines = [
    `# Ceremony: ${name}`,
    '',
    `Date and place: ______________________________    Page ____ of ____`,
    '',
    `${threshold} of these ${holders.length} holders must sign: ${holders.join(', ')}.`,
    'The conductor reads each step aloud and types what no holder types. One witness reads along on paper, and stops the',
    'ceremony where a digest, a name or a word differs. Nobody but the holder sees or types the PIN of the holder.',
    '',
    '## 1. The machine and the package',
    '',
    'The machine has no network: no cable, no radio. The conductor says which machine it is, and where it came from.',
    'The publisher of the package said its digest in another way than by the package itself.',
    '',
    here('begin', ' --package PACKAGE.tgz'),
    '',
    'The conductor reads the digest of the package. All compare it with what the publisher said:',
    '',
    `    ${digits(done?.begin.package.sha256)}`,
    '',
    'The conductor reads the number of this ceremony. All write it down:',
    '',
    `    ${digits(done?.begin.nonce)}`,
    '',
    '## 2. The keys',
    '',
    'Each holder puts in the token, types the PIN, and reads the key ID aloud. All write it down. After a wrong PIN nobody',
    'repeats the command: go to "A wrong PIN" below.',
    ...holders.flatMap((holder) => {
      const key = done?.keys.get(holder);
      return [
        '',
        `${holder}`,
        '',
        here('key', ` --holder ${holder} --module MODULE --token LABEL`),
        '',
        `    token ${key === undefined ? '____________________' : printable(key.step.token.label)}, serial number ${key === undefined ? '____________________' : printable(key.step.token.serial)}`,
        `    ${digits(key?.key.keyid)}`,
        '',
        `    ${holder} has the token, and nobody else: ______________________________`,
      ];
    }),
    ...(plan.authority === undefined
      ? []
      : [
          '',
          `The root of the certificate authority "${plan.authority.subject.commonName}"`,
          '',
          here('authority', ' --module MODULE --token LABEL'),
          '',
          '    token ____________________, serial number ____________________',
          `    ${digits(done?.authority?.sha256)}`,
          '',
          '    SHA-256 of its certificate. All write it down. Who has the token: ______________________________',
        ]),
    '',
    '## 3. The root',
    '',
    here('root'),
    '',
    'The conductor reads the digest of the root. All write it down:',
    '',
    `    ${digits(done?.root?.sha256)}`,
    '',
    `At least ${threshold} holders sign. Each reads the digest on the screen aloud before the PIN, and all compare it with the paper:`,
    '',
    ...holders.map((holder) => `${here('sign', ` --holder ${holder}`)}        digest is the same: ____`),
    '',
    '## 4. The transcript',
    '',
    here('transcript'),
    '',
    'The conductor reads the digest of the transcript. All write it down:',
    '',
    `    ${DIGITS}`,
    '',
    `At least ${threshold} holders sign it, as in step 3:`,
    '',
    ...holders.map((holder) => `${here('sign-transcript', ` --holder ${holder}`)}        digest is the same: ____`),
    '',
    '## 5. The end',
    '',
    'Each holder takes the token away, and keeps it and the PIN apart. The directory is copied to two sticks.',
    'Everybody who was there signs:',
    '',
    ...['conductor', 'witness', ...holders].map((who) => `    ${who.padEnd(20)} ______________________________`),
    '',
    'Afterwards, on a machine with a network:',
    '',
    here('log', ' --log https://log.example.com --policy policy'),
    '',
    '## A wrong PIN',
    '',
    'No command tries a PIN a second time. Before the holder tries again:',
    '',
    '- The holder says whether the PIN was mistyped. A holder who is not sure stops.',
    '- A smart card or an HSM counts wrong PINs by itself, and locks after some. Its officer unlocks it with the PIN of the',
    '  officer (SO-PIN): `pkcs11-tool --module MODULE --login --login-type so --unlock-pin`.',
    '- A TPM counts wrong PINs of all its tokens together. Three lock every token on it for 1,000 s or longer. This shows the',
    '  count, and this takes the lock away, with the password of the lockout hierarchy where it has one:',
    '',
    '      tpm2_getcap properties-variable | grep -i lockout',
    '      tpm2_dictionarylockout --clear-lockout',
    '',
    '- SoftHSM does not lock.',
    '',
    '## A token that is lost or broken today',
    '',
    'Before step 3 the holder brings another token, and the ceremony begins anew in an empty directory. After step 3 the',
    `others go on: ${threshold} of ${holders.length} suffice, and the next root replaces the key.`,
    '',
  ];
  writeOut(lines.join('\n'));
}
