/** `stele ceremony authority`: the root of a certificate authority, whose key is made in a token of its own. */
import { decodeBase64, encodeBase64, encodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { findModule } from '../../../merkle/runtime/keys/pkcs11/pkcs11-module.ts';
import { parseCertificate } from '../../../merkle/x509/certificate.ts';
import { timeText } from '../../../merkle/x509/utc-time.ts';
import { CaStore } from '../../ca/root/ca-store.ts';
import { makeRootCertificate } from '../../ca/root/make-authorities.ts';
import { broken, checkAuthority } from '../../trust/ceremony/ceremony.ts';
import { readCeremonyPlan } from '../../trust/ceremony/ceremony-plan.ts';
import { CeremonyStore } from '../../trust/ceremony/ceremony-store.ts';
import { type AuthorityStep, afterStep, keyStepMessage } from '../../trust/ceremony/steps.ts';
import { hexSha256 } from '../../trust/tuf/tuf-key.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { print } from '../report.ts';
import { refuseFrozen } from './ceremony-root.ts';
import { grouped, timeNow } from './ceremony-words.ts';
import { makeHeldKey, signWith } from './holder-steps.ts';
import { pinOf } from './pin-prompt.ts';
import { checkRecorded, checkRecordedPlan } from './running-package.ts';

interface AuthorityOptions {
  readonly module: string;
  readonly token: string;
  readonly label?: string;
  readonly pinFile?: string;
  readonly json?: boolean;
}

const WHO = 'the certificate authority';

export async function makeAuthority(dir: string, options: AuthorityOptions): Promise<void> {
  const store = new CeremonyStore(dir);
  const before = await store.ceremony();
  const known = before.ceremony.authority;
  if (known !== undefined) {
    if (known.token.label !== options.token) {
      throw broken(`${WHO} has a key in the token "${known.token.label}" already`);
    }
    return await keepAndSay(store, known, options.json);
  }
  const machine = await checkRecorded(store, before.ceremony.begin);
  await refuseFrozen(store);
  const { plan, bytes } = await readCeremonyPlan(store);
  checkRecordedPlan(store, before.ceremony.begin, bytes);
  if (plan.authority === undefined) {
    throw broken('the plan has no certificate authority: name it under "authority" before the ceremony begins');
  }
  const wish = plan.authority;
  const module = await findModule(options.module);
  const label = options.label ?? `stele-ca-${before.ceremony.begin.nonce.slice(0, 8)}`;
  const spec = { module, token: options.token, label, pin: await pinOf(options.pinFile, options.token) };
  const step = await store.locked(async () => {
    const { steps, ceremony } = await store.ceremony();
    await refuseFrozen(store);
    const { record } = await makeHeldKey(spec, ceremony, WHO);
    const signed = await signWith(spec, { ...record, who: WHO }, async (signer) => {
      const der = await makeRootCertificate(signer, wish, Date.now());
      const unsigned: AuthorityStep = {
        step: 'authority',
        previous: afterStep(steps.at(-1)),
        time: timeNow(),
        ...machine,
        certificate: encodeBase64(der),
        sha256: hexSha256(der),
        ...record,
      };
      return { ...unsigned, sig: encodeHex(await signer.sign(keyStepMessage(unsigned))) };
    });
    checkAuthority(ceremony, signed);
    await store.append(steps, signed);
    return signed;
  });
  await keepAndSay(store, step, options.json);
}

/** The certificate in a directory of its own, in which the root certifies teams. It follows from the step. */
async function keepAndSay(store: CeremonyStore, step: AuthorityStep, json: boolean | undefined): Promise<void> {
  const { token, attributes, module, time, sha256 } = step;
  const ca = new CaStore(store.path('authority'));
  const der = decodeBase64(step.certificate);
  await ca.locked(() => ca.createRoot(der));
  const { der: kept, subject, notAfter } = await ca.root();
  if (hexSha256(kept) !== sha256) throw broken(`${ca.rootPath} is another certificate than the one of the ceremony`);
  const until = timeText(parseCertificate(der).notAfter);
  print(json, { root: ca.rootPath, time, subject, sha256, notAfter: until, token, module, attributes }, [
    `The root "${printable(subject)}" has its key in the token "${printable(token.label)}" (${printable(token.manufacturer)} ${printable(token.model)}, serial number ${printable(token.serial)}).`,
    'The token says: sensitive, not extractable, made here, never extractable, always sensitive.',
    `Its certificate is ${ca.rootPath}, and counts until ${timeText(notAfter)}.`,
    '',
    'SHA-256 of the certificate, to read aloud and to write down:',
    `  ${grouped(sha256)}`,
    '',
    'After the ceremony the root certifies the authorities of teams, such as:',
    `  ${calledAs()} ca team ${shellWord(ca.dir)} TEAM --request TEAM.csr --uri DOMAIN --pkcs11-module MODULE --token ${shellWord(token.label)} --label ${shellWord(step.label)} --pin-file FILE`,
  ]);
}
