/** `stele ceremony begin`: the first step, which says what runs the ceremony and who takes part. */
import { randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import { newCryptoki } from '../../../merkle/runtime/keys/pkcs11/cryptoki.ts';
import { ClientError } from '../../errors.ts';
import { readCeremonyPlan } from '../../trust/ceremony/ceremony-plan.ts';
import { CeremonyStore } from '../../trust/ceremony/ceremony-store.ts';
import { afterStep, type BeginStep } from '../../trust/ceremony/steps.ts';
import { hexSha256 } from '../../trust/tuf/tuf-key.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { readWhole } from '../files.ts';
import { print } from '../report.ts';
import { grouped, timeNow } from './ceremony-words.ts';
import { checkRunning, listOfPackage, thisMachine } from './running-package.ts';
import { MAX_PACKAGE } from './tarball.ts';

interface BeginOptions {
  readonly package: string;
  readonly json?: boolean;
}

function isSame(first: BeginStep, now: Pick<BeginStep, 'plan' | 'online' | 'package'>): boolean {
  return first.plan === now.plan && first.online === now.online && first.package.sha256 === now.package.sha256;
}

export async function begin(dir: string, { package: file, json }: BeginOptions): Promise<void> {
  const store = new CeremonyStore(dir);
  const tgz = await readWhole(file, MAX_PACKAGE, 'a package');
  const list = listOfPackage(tgz);
  checkRunning(list);
  // The keys need it, and later there is no network to install it from.
  await newCryptoki();
  const step = await store.locked(async (): Promise<BeginStep> => {
    const { plan, bytes } = await readCeremonyPlan(store);
    const before = await store.steps();
    const named = { file: basename(file), sha256: hexSha256(tgz), files: hexSha256(list) };
    const [first] = before;
    if (first?.step === 'begin') {
      if (isSame(first, { plan: hexSha256(bytes), online: plan.online.keyid, package: named })) return first;
      throw new ClientError(
        'ceremony',
        `a ceremony of another plan, online key or package began in ${dir} at ${first.time}: begin this one in a directory of its own`,
      );
    }
    await store.write('package', list);
    const next: BeginStep = {
      step: 'begin',
      previous: afterStep(undefined),
      time: timeNow(),
      ...thisMachine(),
      name: plan.name,
      holders: plan.holders,
      threshold: plan.threshold,
      targets: plan.targets,
      online: plan.online.keyid,
      plan: hexSha256(bytes),
      nonce: randomBytes(32).toString('hex'),
      package: named,
    };
    await store.append(before, next);
    return next;
  });
  const { name, holders, threshold, nonce, package: of, time } = step;
  print(json, { dir, name, time, holders, threshold, nonce, package: of }, [
    `The ceremony "${name}" began at ${time}: ${threshold} of ${holders.length} holders must sign.`,
    '',
    `Package ${of.file}`,
    `  ${grouped(of.sha256)}`,
    'Number of this ceremony',
    `  ${grouped(nonce)}`,
    '',
    'Compare the package with what its publisher says. Each holder makes a key then:',
    ...holders.map(
      (holder) => `  ${calledAs()} ceremony key ${shellWord(dir)} --holder ${holder} --module MODULE --token LABEL`,
    ),
  ]);
}
