/** Signs statements and logs them: what `stele attest` and `stele record` share. */
import { printable } from '../../merkle/printable.ts';
import { INTOTO_TYPE } from '../../merkle/rekor/dsse.ts';
import { type Bundle, formatBundle } from '../formats/bundle.ts';
import type { Signed } from '../formats/entry-request.ts';
import { checkStatement } from '../formats/statement.ts';
import { type Attested, attest, attestationBundle } from '../submit/attestation.ts';
import type { LoggedSignature } from '../submit/log-signatures.ts';
import type { KeySigner } from '../submit/signers/types.ts';
import type { LogRequestOptions } from '../submit/types.ts';
import type { FollowedTrust } from '../trust/tuf/load-trust.ts';
import { shellWord } from './called-as.ts';
import { checkDestination, type Destination, openDestination } from './destination.ts';
import { writeWhole } from './files.ts';
import { isKeyless } from './keyless/keyless-options.ts';
import { type GivenTrust, givenOrFirstUse, readLogTrust, requestOptions } from './log-options.ts';
import { nextLog, stillFrozen } from './next-log.ts';
import { type Pushed, pushedFacts, pushTo, reportNotStored } from './push-to-store.ts';
import { print, warn } from './report.ts';
import {
  factsOf,
  type ItemResult,
  type Kept,
  type KeptItem,
  reportItems,
  type SignContext,
  type SignItem,
  signAt,
} from './sign-items.ts';
import { signUnlogged } from './sign-unlogged.ts';
import {
  checkKeyless,
  checkTsa,
  openSigningKey,
  type SigningKey,
  type SigningOptions,
  timestampsOf,
} from './signing.ts';
import { logsOf, type SelectedServices } from './signing-services.ts';
import { isWorkload } from './svid-options.ts';
import { forgetUnlogged, signOnce } from './unlogged-signature.ts';

/** One statement to sign. */
export interface Make {
  /** Names the statement in messages, and its bundle. */
  readonly file: string;
  readonly out: string;
  /** The same bytes each time. Only the file's digest is kept: the statements of many files could fill the memory. */
  statement(): Promise<Uint8Array>;
}

/** Signs with one key. */
interface Attester {
  signer(): Promise<KeySigner>;
  /** Signs, logs and keeps the statements, and prints the result. `facts` are printed with it, where there is one result. */
  attest(makes: readonly Make[], facts?: object): Promise<void>;
  /** The same for one statement that goes to a log, without a report. */
  attestOne(make: Make): Promise<{ readonly logged: LoggedSignature; readonly facts: object }>;
}

type Services = SigningOptions & SelectedServices;

interface Wish {
  /** The options of the command line, without what a followed repository adds. */
  readonly chosen: SigningOptions;
  readonly options: Services;
  readonly followed: FollowedTrust | undefined;
}

/**
 * Runs `work` with a key. All options and the trust are checked, and `prepare` has run, before the key is opened. A key that
 * is certified for minutes is opened when it first signs.
 *
 * @throws ClientError, RuntimeError
 */
export async function withAttester<T>(
  { chosen, options, followed }: Wish,
  prepare: () => Promise<T>,
  work: (attester: Attester, prepared: T) => Promise<void>,
): Promise<void> {
  checkDestination(options);
  const http = await requestOptions(options);
  checkKeyless(options);
  const given = await readLogTrust(options, logsOf(options), followed, isKeyless(options));
  checkTsa(options, given);
  const prepared = await prepare();
  let opened: SigningKey | undefined;
  const open = async (): Promise<SigningKey> => {
    opened ??= await openSigningKey(options, undefined, given, http);
    return opened;
  };
  try {
    // A certificate of minutes would end while a recorded step runs.
    if (!isKeyless(options) && !isWorkload(options)) warnOfEd25519((await open()).signer);
    const attestAll = async (
      makes: readonly Make[],
      done: (results: readonly ItemResult<Written>[], context: SignContext<Services>) => void,
    ): Promise<void> => {
      const { signer, publicPath } = await open();
      const destination = await openDestination(options);
      const items = makes.map((make) => itemOf(make, signer, options, { ...http, destination }));
      if (destination.kind !== 'log') {
        return await signUnlogged(items, destination, { given, signal: http.signal, json: options.json, publicPath });
      }
      const logs = [destination.log, ...options.moreLogs];
      const readyBy =
        ({ trust }: GivenTrust) =>
        async (log: string) =>
          (await givenOrFirstUse(trust, log, http)).trust;
      const next = async () => {
        const moved = await nextLog(chosen, logs);
        return moved && { logs: moved.logs, ready: readyBy(moved.given) };
      };
      const results = await signAt(items, { logs, ready: readyBy(given) }, http, next, (error) =>
        stillFrozen(error, chosen),
      );
      done(results, { logs, options, publicPath });
    };
    const attester: Attester = {
      signer: async () => (await open()).signer,
      attest: (makes, facts = {}) => attestAll(makes, (results, context) => report(results, context, facts)),
      attestOne: async (make) => {
        let found: Awaited<ReturnType<Attester['attestOne']>> | undefined;
        await attestAll([make], ([result], context) => {
          // One statement alone throws its error.
          const kept = result as KeptItem<Written>;
          found = { logged: kept.value.logged, facts: factsOf(kept, context) };
        });
        return found!;
      },
    };
    await work(attester, prepared);
  } finally {
    await opened?.signer.close();
  }
}

function warnOfEd25519({ publicKey }: KeySigner): void {
  if (publicKey.info.kind !== 'ed25519') return;
  warn(
    'other verifiers take pure Ed25519 in attestations, which a log cannot check: with this key only Stele verifies',
  );
}

interface Written extends Kept {
  readonly pushed: Pushed | undefined;
  readonly predicateType: string;
  readonly subjects: readonly object[];
}

function itemOf(
  { file, out, statement }: Make,
  signer: KeySigner,
  options: Services,
  { destination, ...http }: LogRequestOptions & { readonly destination: Destination },
): SignItem<Written> {
  let signed: Signed | undefined;
  let timestamps: Uint8Array[] = [];
  return {
    file,
    out,
    sign: async () => {
      const attested = await attestOnce(await statement(), signer, { out, destination });
      signed = attested.signed;
      timestamps = await timestampsOf(signed, options, http);
      return { signed, bundle: attestationBundle(attested, undefined, timestamps) };
    },
    kept: () => forgetUnlogged(signer, out),
    keep: async (logged) => {
      const payload = await statement();
      const envelope = { payloadType: INTOTO_TYPE, payload, signature: signed!.signature };
      const bundle = attestationBundle({ envelope, signed: signed! }, logged.entry, timestamps);
      const file = formatBundle({ ...bundle, entries: logged.bundle.entries });
      await writeWhole(out, file);
      await forgetUnlogged(signer, out);
      const pushed = await pushTo(options, file, http);
      const { predicateType: type, subjects } = checkStatement(payload);
      return {
        logged,
        out,
        pushed,
        predicateType: type,
        subjects: subjects.map(({ name, digest }) => ({ name, digest: Object.fromEntries(digest) })),
      };
    },
  };
}

/** As `attest`, but uses the signature of an earlier run where a key in a token would give another one. */
async function attestOnce(
  statement: Uint8Array,
  signer: KeySigner,
  place: { readonly out: string; readonly destination: Destination },
): Promise<Attested> {
  const { publicKey, certificate, chain } = signer;
  // Only `attest` makes the digest, and hands it to the signer.
  return await attest(statement, {
    publicKey,
    certificate,
    chain,
    sign: async (digest, message) => {
      const bundleOf = (made: Signed): Bundle => {
        const envelope = { payloadType: INTOTO_TYPE, payload: statement, signature: made.signature };
        return attestationBundle({ envelope, signed: made }, undefined);
      };
      return (await signOnce(digest, signer, place, bundleOf, message)).signature;
    },
  });
}

function report(results: readonly ItemResult<Written>[], context: SignContext<Services>, more: object): void {
  const { json } = context.options;
  const facts = (kept: KeptItem<Written>) => {
    const { predicateType, subjects, pushed } = kept.value;
    return { ...factsOf(kept, context), predicateType, subjects, ...pushedFacts(pushed), ...more };
  };
  const line = ({ file, value: { predicateType: type, logged, out } }: KeptItem<Written>) =>
    `Attested ${printable(file)} (${printable(type)}): entry ${logged.verified.index} of ${logged.verified.origin}, ${shellWord(out)}`;
  const [only] = results;
  if (results.length === 1 && only !== undefined && 'value' in only) {
    print(json, facts(only), [line(only)]);
    reportNotStored([only.value]);
    return;
  }
  reportItems(json, results, facts, (kept) => [
    ...kept.map(line),
    `${kept.length} of ${results.length} are logged; their proofs were checked`,
  ]);
  reportNotStored(results.flatMap((result) => ('value' in result ? [result.value] : [])));
}
