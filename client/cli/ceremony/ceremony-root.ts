/** The steps of all holders together: `stele ceremony root` and `transcript`. Neither needs a token. */

import { equal } from '../../../merkle/bytes.ts';
import { broken, type Ceremony, checkEnough, checkRoot } from '../../trust/ceremony/ceremony.ts';
import { type CeremonyPlan, readCeremonyPlan, repositoryPlan } from '../../trust/ceremony/ceremony-plan.ts';
import { CEREMONY_FILES, CeremonyStore } from '../../trust/ceremony/ceremony-store.ts';
import { afterStep, type RootStep, type Step } from '../../trust/ceremony/steps.ts';
import {
  type CheckedCeremony,
  checkRootOf,
  checkTranscript,
  formatTranscript,
  MAX_ENVELOPE,
  MAX_ROOT,
  parseTranscriptEnvelope,
  type TranscriptSignature,
  transcriptSigner,
} from '../../trust/ceremony/transcript.ts';
import { canonicalJson } from '../../trust/tuf/canonical-json.ts';
import { type Metadata, type Root, readRoot, writeMetadata } from '../../trust/tuf/metadata.ts';
import { rootOf, type TrustPlan } from '../../trust/tuf/plan.ts';
import { RepositoryStore } from '../../trust/tuf/repository-store.ts';
import { initRepository } from '../../trust/tuf/staging.ts';
import { hexSha256 } from '../../trust/tuf/tuf-key.ts';
import { calledAs, shellWord } from '../called-as.ts';
import { print } from '../report.ts';
import { grouped, timeNow } from './ceremony-words.ts';
import { checkRecorded, checkRecordedPlan } from './running-package.ts';

interface JsonOption {
  readonly json?: boolean;
}

/** Makes the root metadata that name the keys of all holders. */
export async function makeRoot(dir: string, { json }: JsonOption): Promise<void> {
  const store = new CeremonyStore(dir);
  const { ceremony: before } = await store.ceremony();
  const machine = await checkRecorded(store, before.begin);
  const root = await store.locked(async () => {
    const { steps, ceremony } = await store.ceremony();
    if (ceremony.root !== undefined) {
      await stagedRoot(store, ceremony);
      return ceremony.root;
    }
    checkRoot(ceremony);
    const plan = repositoryPlan(await samePlan(store, ceremony), ceremony);
    const signed = rootOf(plan, 1, Date.now());
    // Without its step nobody has signed the file of a run that died.
    await store.write('root', writeMetadata(signed, []));
    const step: RootStep = {
      step: 'root',
      previous: afterStep(steps.at(-1)),
      time: timeNow(),
      ...machine,
      version: 1,
      sha256: hexSha256(canonicalJson(signed, CEREMONY_FILES.root)),
      expires: String(signed.expires),
    };
    await store.append(steps, step);
    return step;
  });
  const { begin } = before;
  print(json, { root: store.path('root'), sha256: root.sha256, expires: root.expires }, [
    `The root names the keys of ${begin.holders.join(', ')}, of which ${begin.threshold} must sign. It expires at ${root.expires}.`,
    'Its digest, to read aloud before each signature:',
    `  ${grouped(root.sha256)}`,
    '',
    'Then:',
    `  ${calledAs()} ceremony sign ${shellWord(dir)} --holder HOLDER`,
  ]);
}

/** Makes the statement with every step, and puts the signed root together. */
export async function makeTranscript(dir: string, { json }: JsonOption): Promise<void> {
  const store = new CeremonyStore(dir);
  const { ceremony: before } = await store.ceremony();
  await checkRecorded(store, before.begin);
  const statement = await store.locked(async () => {
    const { steps, ceremony } = await store.ceremony();
    checkEnough(ceremony);
    const { signed } = await stagedRoot(store, ceremony);
    const root = writeMetadata(
      signed.json,
      [...ceremony.signatures.values()].map(({ keyid, sig }) => ({ keyid, sig })),
    );
    const made = formatTranscript(steps, { name: CEREMONY_FILES.root, bytes: root });
    checkTranscript(made, root);
    await refuseOtherTranscript(store, made);
    await store.write('root', root);
    await beginRepository(store.path('repository'), repositoryPlan(await samePlan(store, ceremony), ceremony), root);
    // Last: without it this step is done again.
    await store.write('transcript', made);
    return made;
  });
  print(json, { transcript: store.path('transcript'), sha256: hexSha256(statement), root: store.path('root') }, [
    `The transcript is ${store.path('transcript')}, and the signed root ${store.path('root')}.`,
    `A TUF repository that begins with this root is ${store.path('repository')}.`,
    'Digest of the transcript, to read aloud before each signature:',
    `  ${grouped(hexSha256(statement))}`,
    '',
    'Then:',
    `  ${calledAs()} ceremony sign-transcript ${shellWord(dir)} --holder HOLDER`,
  ]);
}

/** A repository that begins with the root of the ceremony. One that has published a root stays as it is. */
async function beginRepository(dir: string, plan: TrustPlan, root: Uint8Array): Promise<void> {
  const repository = new RepositoryStore(dir);
  if (!(await repository.isThere())) await initRepository(dir, plan, Date.now());
  await repository.locked(async () => {
    if ((await repository.publicVersions()).has('root')) return;
    await repository.writeStaged([{ role: 'root', bytes: root }]);
  });
}

async function refuseOtherTranscript(store: CeremonyStore, made: Uint8Array): Promise<void> {
  const there = await store.read('transcript', MAX_ENVELOPE);
  if (there === undefined || equal(there, made)) return;
  throw broken(
    `${store.path('transcript')} is another transcript than the steps give: move it away, and look at what changed`,
  );
}

/** The transcript has every signature of the root. @throws ClientError `ceremony` where there is one already */
export async function refuseFrozen(store: CeremonyStore): Promise<void> {
  if ((await store.read('transcript', MAX_ENVELOPE)) === undefined) return;
  throw broken('the transcript is made, and lists who signed the root: no further signature fits in');
}

async function samePlan(store: CeremonyStore, { begin }: Ceremony): Promise<CeremonyPlan> {
  const { plan, bytes } = await readCeremonyPlan(store);
  checkRecordedPlan(store, begin, bytes);
  if (plan.online.keyid === begin.online) return plan;
  throw broken(
    'the public key of the service was changed since the ceremony began: put back the file that "online" in the plan names, or begin anew elsewhere',
  );
}

/** The root that holders sign. @throws ClientError `ceremony` where it is not the recorded one */
export async function stagedRoot(store: CeremonyStore, ceremony: Ceremony): Promise<Metadata<Root>> {
  const bytes = await store.read('root', MAX_ROOT);
  if (bytes === undefined) {
    const lost = ceremony.root === undefined ? 'there is no root to sign yet: `stele ceremony root`' : undefined;
    throw broken(lost ?? `${store.path('root')} is missing: put back the file whose digest the steps have`);
  }
  const metadata = readRoot(bytes, store.path('root'));
  checkRootOf(ceremony, metadata);
  return metadata;
}

interface SignedTranscript {
  readonly statement: Uint8Array;
  readonly ceremony: CheckedCeremony;
  readonly steps: readonly Step[];
  /** Each holder once. */
  readonly signatures: readonly TranscriptSignature[];
}

/** The transcript with the signatures so far. @throws ClientError `ceremony` where it is not what the steps say */
export async function readSignedTranscript(store: CeremonyStore): Promise<SignedTranscript> {
  const { steps } = await store.ceremony();
  const statement = await store.read('transcript', MAX_ENVELOPE);
  const root = await store.read('root', MAX_ROOT);
  if (statement === undefined || root === undefined)
    throw broken('there is no transcript yet: `stele ceremony transcript`');
  if (!equal(statement, formatTranscript(steps, { name: CEREMONY_FILES.root, bytes: root }))) {
    throw broken(`${store.path('transcript')} is not what the steps and the root say: a line was changed`);
  }
  const ceremony = checkTranscript(statement, root);
  const envelope = await store.read('envelope', MAX_ENVELOPE);
  if (envelope === undefined) return { statement, ceremony, steps, signatures: [] };
  return { statement, ceremony, steps, signatures: signaturesOf(envelope, statement, ceremony) };
}

function signaturesOf(envelope: Uint8Array, statement: Uint8Array, ceremony: Ceremony): TranscriptSignature[] {
  const { payload, signatures } = parseTranscriptEnvelope(envelope);
  if (!equal(payload, statement)) throw broken('the signed transcript is another one than the steps give');
  const known = new Map<string, TranscriptSignature>();
  for (const { sig } of signatures) {
    const holder = transcriptSigner(statement, sig, ceremony);
    if (holder === undefined) throw broken('a signature of the transcript is by no holder');
    known.set(holder, { holder, sig });
  }
  return [...known.values()];
}
