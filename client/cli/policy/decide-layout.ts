/** `stele decide --layout`: whether the steps of a layout of in-toto were done by those who may do them. */
import { encodeHex } from '../../../merkle/bytes.ts';
import { printable } from '../../../merkle/printable.ts';
import { messagePrimitives } from '../../../merkle/runtime/crypto/message-primitives.ts';
import { nodePrimitives } from '../../../merkle/runtime/crypto/node-primitives.ts';
import { keyIdOf } from '../../../merkle/runtime/policy/layout/layout-key.ts';
import { MAX_LAYOUT_FILE } from '../../../merkle/runtime/policy/layout/layout-metadata.ts';
import type { JudgedStep, LayoutVerdict } from '../../../merkle/runtime/policy/layout/types.ts';
import { type LayoutOptions, verifyLayout } from '../../../merkle/runtime/policy/layout/verify-layout.ts';
import { ClientError, usage } from '../../errors.ts';
import { openTrust } from '../../policy/decision-basis.ts';
import { reasonLine } from '../../policy/decision-text.ts';
import { whyUnlogged } from '../../policy/logged-link.ts';
import { readPublicKey, readWhole } from '../files.ts';
import { printJson, reportFailed, writeOut } from '../report.ts';
import { presentTime } from '../verify/demands.ts';
import { readTrustBasis } from './basis-files.ts';
import { namedArtifacts } from './decide-artifacts.ts';
import type { LayoutDecideOptions } from './decide-options.ts';
import { linkFolder } from './link-folder.ts';

type Options = LayoutDecideOptions & { readonly layout: string };

/** Prints the decision, and sets the exit status: 0 for allow, else 1. @throws ClientError, RuntimeError */
export async function decideByLayout(options: Options, names: readonly string[], signal: AbortSignal): Promise<void> {
  const { layout, layoutKey = [], links } = options;
  refuseOthers(options);
  if (layoutKey.length === 0) throw usage('say whose layout it is: --layout-key with the public key of its owner');
  if (links === undefined) throw usage('say where the links are: --links with their folder');
  const artifacts = names.length === 0 ? [] : await namedArtifacts(names, options);
  const bytes = await readWhole(layout, MAX_LAYOUT_FILE, 'a layout');
  const keys = [];
  for (const path of layoutKey) keys.push((await readPublicKey(path)).info);
  const now = presentTime(options);
  const request = { now, ...(await loggedCheck(options, now)) };
  const { verdict, products } = verifyLayout(bytes, keys, linkFolder(links), request);
  const reasons = [...verdict.reasons];
  const made = new Set(Array.from(products.values(), ({ sha256 }) => sha256));
  for (const artifact of verdict.accepted ? artifacts : []) {
    const { sha256 } = await artifact.digests(['sha256'], signal, nodePrimitives());
    const digest = sha256 && encodeHex(sha256);
    if (digest !== undefined && made.has(digest)) continue;
    const message = `${printable(artifact.given)} (sha256:${digest ?? 'unknown'}) is no product of the last step`;
    reasons.push({ code: 'not-a-product', message });
  }
  const accepted = verdict.accepted && reasons.length === 0;
  report(layout, { ...verdict, accepted, reasons }, keys.map(keyIdOf), options.json === true);
}

/** @throws ClientError `usage` */
function refuseOthers({ policy, evidence, registry, store, name, sarif, junit }: Options): void {
  const ours = { '--policy': policy, '--evidence': evidence, '--registry': registry, '--store': store, '--name': name };
  const others = { ...ours, '--sarif': sarif, '--junit': junit };
  const given = Object.entries(others).flatMap(([option, value]) => (value === undefined ? [] : [option]));
  if (given.length > 0) throw usage(`--layout takes the place of a policy: leave out ${given.join(', ')}`);
}

async function loggedCheck(options: Options, now: number): Promise<Partial<LayoutOptions>> {
  if (options.requireLogged !== true) return {};
  const trust = openTrust(await readTrustBasis(options));
  const primitives = messagePrimitives(nodePrimitives());
  return {
    unlogged: ({ bundle }, link, { info }) => whyUnlogged(bundle?.(), link, info!, trust, now, primitives),
  };
}

function report(file: string, verdict: LayoutVerdict, keyIds: readonly string[], asJson: boolean): void {
  const { accepted, layout, steps, reasons } = verdict;
  const answer = accepted ? 'allow' : 'deny';
  if (asJson) {
    printJson({ ok: accepted, verdict: answer, layout: { file, digest: layout, keys: keyIds }, reasons, steps });
  } else {
    const lines = [`${answer.toUpperCase()}: ${printable(file)}`, `  layout     ${layout}`, ...reasons.map(reasonLine)];
    writeOut(`${[...lines, ...steps.flatMap((step) => stepLines(step, ''))].join('\n')}\n`);
  }
  if (accepted) return;
  const [first] = [...reasons, ...steps.flatMap((step) => step.reasons)];
  reportFailed(file, new ClientError('denied', `denied by the layout: ${first?.message ?? 'a step does not hold'}`));
  process.exitCode = 1;
}

function stepLines({ name, threshold, holds, links, reasons, warnings }: JudgedStep, indent: string): string[] {
  return [
    '',
    `${indent}Step "${printable(name)}" ${holds ? 'holds' : 'does not hold'} (threshold ${threshold})`,
    ...reasons.map((reason) => indent + reasonLine(reason)),
    ...links.flatMap((link) => {
      const by = link.keyId === undefined ? '' : `, signed by ${printable(link.keyId.slice(0, 64))}`;
      const head = `${indent}  ${link.holds ? 'holds' : 'fails'}      ${printable(link.file)}${by}`;
      const inner = link.sublayout?.steps.flatMap((step) => stepLines(step, `${indent}    `)) ?? [];
      const own = [...link.reasons, ...(link.sublayout?.reasons ?? [])];
      return [
        head,
        `${indent}             ${link.digest}`,
        ...own.map((one) => `${indent}  ${reasonLine(one)}`),
        ...inner,
      ];
    }),
    ...warnings.map((warning) => `${indent}  warning    ${warning}`),
  ];
}
