/** The check `provenance`: pairs of builder and signer, source, parameters, dependencies and levels. */
import { describe, expect, it } from 'vitest';
import { parseJsonValue } from '../../../../../merkle/rekor/json-value.ts';
import { decide } from '../../../../../merkle/runtime/policy/decide.ts';
import type { VerifiedEvidence } from '../../../../../merkle/runtime/policy/types.ts';
import { APP, evidenceOf, KEY_A, KEY_B, keySigner, NOW, policyOf } from '../../../../support/decision-policy.ts';

const V1 = 'https://slsa.dev/provenance/v1';
const V02 = 'https://slsa.dev/provenance/v0.2';
const CI = 'https://ci.example.com/builder';
const COMMIT = 'a1'.repeat(20);
const TYPE = 'https://ci.example.com/workflow/v1';
const REPOSITORY = 'https://git.example.com/team/app';

// biome-ignore lint/suspicious/noExplicitAny: tests change any part
type Json = any;

const predicate1 = (change: (json: Json) => void = () => {}): Json => {
  const json = {
    buildDefinition: {
      buildType: TYPE,
      externalParameters: { workflow: { repository: REPOSITORY, ref: 'refs/heads/main', path: 'release.yml' } },
      internalParameters: { runner: 'x' },
      resolvedDependencies: [{ uri: `git+${REPOSITORY}@refs/heads/main`, digest: { gitCommit: COMMIT } }],
    },
    runDetails: { builder: { id: CI }, metadata: { invocationId: '1' } },
  };
  change(json);
  return json;
};

const predicate02 = (change: (json: Json) => void = () => {}): Json => {
  const json = {
    builder: { id: CI },
    buildType: TYPE,
    invocation: {
      configSource: { uri: `git+${REPOSITORY}@refs/heads/main`, digest: { sha1: COMMIT }, entryPoint: 'release.yml' },
      parameters: {},
    },
    materials: [{ uri: `git+${REPOSITORY}@refs/heads/main`, digest: { sha1: COMMIT } }],
  };
  change(json);
  return json;
};

function piece(predicate: Json, changes: Partial<VerifiedEvidence> = {}, predicateType = V1): VerifiedEvidence {
  const text = Buffer.from(JSON.stringify(predicate));
  return evidenceOf({
    statement: {
      type: 'https://in-toto.io/Statement/v1',
      predicateType,
      subjects: [APP],
      predicate: () => parseJsonValue(text, 'the predicate', 100_000),
    },
    ...changes,
  });
}

/** A policy with one rule for both versions. */
const policy = (
  lines: string,
  builders = `[{ id: ${CI}, signer: a, level: 3 }, { id: https://other.example.com/b, signer: b, level: 2 }]`,
  more = '',
) =>
  policyOf(`version: 1
name: test
signers:
  a: { fingerprint: ${KEY_A} }
  b: { fingerprint: ${KEY_B} }
rules:
  - name: built
    type: [${V1}, ${V02}]
    signers: [a, b]
${more}
    provenance:
      builders: ${builders}
${lines
  .split('\n')
  .map((line) => `      ${line}`)
  .join('\n')}
`);

const ALL = 'parameters: { workflow: { any: true }, entryPoint: { any: true }, source: { any: true } }';
const SOURCE = `source: { uri: ${REPOSITORY}, ref: refs/heads/main }`;
const REST =
  'parameters: { workflow: { members: { path: { equals: release.yml } }, optional: true }, entryPoint: { equals: release.yml, optional: true } }';

async function reasonsOf(lines: string, ...pieces: VerifiedEvidence[]) {
  const decision = decide(await policy(lines), APP, pieces, NOW);
  return decision.rules.flatMap(({ evidence }) => evidence.flatMap(({ reasons }) => reasons));
}
const codesOf = async (lines: string, ...pieces: VerifiedEvidence[]) =>
  (await reasonsOf(lines, ...pieces)).map(({ code }) => code);

describe.each([
  [V1, predicate1, undefined],
  [V02, predicate02, V02],
] as const)('%s', (_, predicate, type) => {
  const of = (change?: (json: Json) => void, changes: Partial<VerifiedEvidence> = {}) =>
    piece(predicate(change), changes, type);

  it('holds with its builder, source, ref, commit and parameters, and has the level of the pair', async () => {
    const lines = `source: { uri: git+${REPOSITORY}, ref: [refs/tags/*, refs/heads/main], commit: ${COMMIT} }\n${REST}\nbuildTypes: [${TYPE}]\nminLevel: 3`;
    const decision = decide(await policy(lines), APP, [of()], NOW);
    expect(decision).toMatchObject({ verdict: 'allow', levels: ['SLSA_BUILD_LEVEL_3'] });
    expect(decision.rules[0]!.evidence[0]!.levels).toEqual(['SLSA_BUILD_LEVEL_3']);
  });

  it.each([
    [
      'another builder',
      (json: Json) => {
        (json.runDetails ?? json).builder.id = 'https://evil.example.com';
      },
      'builder',
    ],
    [
      'the builder of another signer',
      (json: Json) => {
        (json.runDetails ?? json).builder.id = 'https://other.example.com/b';
      },
      'builder',
    ],
    [
      'another case of its builder',
      (json: Json) => {
        (json.runDetails ?? json).builder.id = CI.toUpperCase();
      },
      'builder',
    ],
    [
      'no builder',
      (json: Json) => {
        delete (json.runDetails ?? json).builder.id;
      },
      'predicate',
    ],
    [
      'a builder that is a list',
      (json: Json) => {
        (json.runDetails ?? json).builder.id = [CI];
      },
      'predicate',
    ],
    [
      'another type of build',
      (json: Json) => {
        (json.buildDefinition ?? json).buildType = 'https://x.example.com';
      },
      'build-type',
    ],
  ])('is refused with %s', async (_name, change, code) => {
    expect(await codesOf(`${ALL}\nbuildTypes: [${TYPE}]`, of(change))).toEqual([code]);
  });

  it('is refused from the signer of another builder', async () => {
    const [reason] = await reasonsOf(ALL, of(undefined, { signer: keySigner(KEY_B) }));
    expect(reason).toMatchObject({ code: 'builder', message: expect.stringContaining('only a may speak') });
  });

  it('is refused below the level that the rule requires', async () => {
    const builders = `[{ id: ${CI}, signer: a, level: 2 }]`;
    const decision = decide(await policy(`${ALL}\nminLevel: 3`, builders), APP, [of()], NOW);
    expect(decision).toMatchObject({ verdict: 'deny', levels: [] });
    expect(decision.rules[0]!.evidence[0]).toMatchObject({ levels: [], reasons: [{ code: 'level' }] });
  });

  it.each([
    ['another source', `source: { uri: https://git.example.com/fork/app, ref: refs/heads/main }`, 'source'],
    ['the beginning of the source', `source: { uri: https://git.example.com/team/ap, ref: refs/heads/main }`, 'source'],
    ['another ref', `source: { uri: ${REPOSITORY}, ref: refs/tags/* }`, 'source'],
    ['another commit', `source: { uri: ${REPOSITORY}, ref: refs/heads/main, commit: ${'b2'.repeat(20)} }`, 'source'],
  ])('is refused where the rule takes %s', async (_name, source, code) => {
    expect(await codesOf(`${source}\n${REST}`, of())).toEqual([code]);
  });

  it('is refused with an external parameter that the rule does not name', async () => {
    const add = (json: Json) => {
      (json.buildDefinition?.externalParameters ?? json.invocation.parameters).debug = true;
    };
    expect(await reasonsOf(`${SOURCE}\n${REST}`, of(add))).toEqual([
      { code: 'parameter', message: expect.stringContaining('"debug" is not expected') },
    ]);
    const all = await policy('', undefined);
    expect(decide(all, APP, [of()], NOW).verdict).toBe('deny');
  });

  it('takes empty values as absent ones', async () => {
    const add = (json: Json) => {
      Object.assign(json.buildDefinition?.externalParameters ?? json.invocation.parameters, {
        a: null,
        b: '',
        c: [],
        d: {},
      });
    };
    expect(await codesOf(`${SOURCE}\n${REST}`, of(add))).toEqual([]);
  });
});

describe('the source', () => {
  const of = (change: (json: Json) => void) => piece(predicate1(change));
  const parameters = (json: Json) => json.buildDefinition.externalParameters;

  it('is what the parameters name, and not a repository among the dependencies', async () => {
    const fork = of((json) => {
      parameters(json).workflow.repository = 'https://git.example.com/fork/app';
      json.buildDefinition.resolvedDependencies.push({
        uri: `git+${REPOSITORY}@refs/heads/main`,
        digest: { gitCommit: COMMIT },
      });
    });
    expect(await codesOf(`${SOURCE}\n${REST}`, fork)).toEqual(['source']);
  });

  it.each<[string, (json: Json) => void]>([
    [
      'two parameters name one',
      (json) => {
        parameters(json).repository = REPOSITORY;
      },
    ],
    [
      'no parameter names one',
      (json) => {
        json.buildDefinition.externalParameters = { x: 1 };
      },
    ],
    [
      'its ref is no text',
      (json) => {
        parameters(json).workflow.ref = ['refs/heads/main'];
      },
    ],
    [
      'it has two refs',
      (json) => {
        parameters(json).workflow.repository = `${REPOSITORY}@refs/heads/other`;
      },
    ],
    [
      'it has two commits',
      (json) => {
        json.buildDefinition.resolvedDependencies.push({ uri: REPOSITORY, digest: { gitCommit: 'b2'.repeat(20) } });
      },
    ],
  ])('is refused where %s', async (_, change) => {
    expect(
      await codesOf(
        `${SOURCE}\nparameters: { x: { any: true }, repository: { any: true }, workflow: { any: true } }`,
        of(change),
      ),
    ).toEqual(['predicate']);
  });

  it('leaves a ref that the rule does not state to the parameters', async () => {
    const lines = `source: { uri: ${REPOSITORY} }\n${REST}`;
    expect(
      await reasonsOf(
        lines,
        of(() => {}),
      ),
    ).toEqual([{ code: 'parameter', message: expect.stringContaining('"workflow.ref" is not expected') }]);
  });

  it('stands where the policy says, for build types of others', async () => {
    const moved = of((json) => {
      json.buildDefinition.externalParameters = { from: { git: REPOSITORY, at: 'refs/heads/main' } };
    });
    const lines = `source: { uri: ${REPOSITORY}, ref: refs/heads/main, uriParameter: [from, git], refParameter: [from, at] }`;
    expect(await codesOf(lines, moved)).toEqual([]);
  });
});

describe('provenance 0.2', () => {
  it('is refused where a parameter has the name of what joins the parameters', async () => {
    for (const name of ['source', 'entryPoint']) {
      const two = piece(
        predicate02((json) => {
          json.invocation.parameters[name] = REPOSITORY;
        }),
        {},
        V02,
      );
      expect(await codesOf(ALL, two)).toEqual(['predicate']);
    }
  });
});

describe('a parameter', () => {
  const with1 = (value: Json) =>
    piece(
      predicate1((json) => {
        json.buildDefinition.externalParameters = { p: value };
      }),
    );
  it.each<[string, Json, boolean]>([
    ['release', 'release', true],
    ['release', 'Release', false],
    ['1', 1, true],
    ['1', 1.5, false],
    ['1', '1', false],
    ['"1"', 1, false],
    ['true', true, true],
    ['true', 'true', false],
    ['{ equals: { a: [1, x] } }', { a: [1, 'x'] }, true],
    ['{ equals: { a: [1, x] } }', { a: ['x', 1] }, false],
    ['{ equals: { a: [1, x] } }', { a: [1, 'x'], b: 2 }, false],
    ['{ oneOf: [a, b] }', 'b', true],
    ['{ oneOf: [a, b] }', 'c', false],
    ['{ cel: "value.startsWith(\'v\')" }', 'v1', true],
    ['{ cel: "value.startsWith(\'v\')" }', 'w1', false],
    ['{ cel: "value.startsWith(\'v\')" }', 7, false],
    ['{ cel: "value.absent" }', { present: 1 }, false],
    ['{ cel: "value == 1" }', 2 ** 53, false],
    ['{ any: true }', { x: [1] }, true],
    ['{ members: { a: { any: true } } }', { a: 1 }, true],
    ['{ members: { a: { any: true } } }', { a: 1, b: 2 }, false],
    ['{ members: { a: { any: true } } }', 'a', false],
    ['{ members: { a: 1 } }', { a: 2 }, false],
    ['{ members: { a: 1, b: { equals: 2, optional: true } } }', { a: 1 }, true],
  ])('that must be %s, and is %j: %s', async (rule, value, holds) => {
    expect(await codesOf(`parameters: { p: ${rule} }`, with1(value))).toEqual(holds ? [] : ['parameter']);
  });

  it('that the rule states must be there, unless it is optional', async () => {
    const none = piece(
      predicate1((json) => {
        json.buildDefinition.externalParameters = {};
      }),
    );
    expect(await codesOf('parameters: { p: x }', none)).toEqual(['parameter']);
    expect(await codesOf('parameters: { p: { equals: x, optional: true } }', none)).toEqual([]);
  });

  it('may be called as a member of every object', async () => {
    const odd = piece(JSON.parse(JSON.stringify(predicate1()).replace('"workflow"', '"__proto__"')));
    expect(await codesOf('parameters: { workflow: { any: true } }', odd)).toEqual(['parameter']);
    expect(await codesOf('parameters: { constructor: { any: true }, __proto__: { any: true } }', odd)).toEqual([]);
  });
});

describe('dependencies', () => {
  const deps = (list: Json) =>
    piece(
      predicate1((json) => {
        json.buildDefinition.resolvedDependencies.push(...list);
      }),
    );
  const good = { uri: 'pkg:npm/left@1.0.0', digest: { sha256: 'ab'.repeat(32) } };
  const lines = (rule: string) => `${SOURCE}\n${REST}\ndependencies: ${rule}`;
  it.each<[string, string, Json[], boolean]>([
    ['by URI', '{ allow: [{ uri: "pkg:npm/**" }] }', [good], true],
    ['of another kind', '{ allow: [{ uri: "pkg:npm/**" }] }', [good, { uri: 'pkg:pypi/x@1' }], false],
    ['without a URI', '{ allow: [{ uri: "pkg:npm/**" }] }', [{ digest: { sha256: 'ab'.repeat(32) } }], false],
    ['by digest alone', `{ allow: [{ digest: { sha256: ${'ab'.repeat(32)} } }] }`, [{ digest: good.digest }], true],
    [
      'with another digest',
      `{ allow: [{ uri: "pkg:npm/**", digest: { sha256: ${'cd'.repeat(32)} } }] }`,
      [good],
      false,
    ],
    ['with a digest of another algorithm', `{ allow: [{ digest: { sha512: ${'ab'.repeat(64)} } }] }`, [good], false],
    ['that is required', '{ require: [{ uri: pkg:npm/left@1.0.0 }] }', [good], true],
    ['that is required and missing', '{ require: [{ uri: pkg:npm/right@1.0.0 }] }', [good], false],
  ])('%s', async (_, rule, list, holds) => {
    expect(await codesOf(lines(rule), deps(list))).toEqual(holds ? [] : ['dependency']);
  });
});

describe('K of N builders', () => {
  const builders = `[{ id: ${CI}, signer: a, level: 1 }, { id: https://other.example.com/b, signer: b, level: 2 }, { id: ${CI}, signer: b, level: 1 }, { id: https://third.example.com, signer: a, level: 1 }]`;
  const by = (key: string, id: string) =>
    piece(
      predicate1((json) => {
        json.runDetails.builder.id = id;
      }),
      { signer: keySigner(key) },
    );
  const verdict = async (...pieces: VerifiedEvidence[]) =>
    decide(await policy(ALL, builders, '    threshold: 2'), APP, pieces, NOW).verdict;

  it('hold where two different signers speak for two different builders', async () => {
    const two = [by(KEY_A, CI), by(KEY_B, 'https://other.example.com/b')];
    expect(await verdict(...two)).toBe('allow');
    expect(decide(await policy(ALL, builders, '    threshold: 2'), APP, two, NOW).levels).toEqual([
      'SLSA_BUILD_LEVEL_2',
    ]);
  });

  it('count one builder once, also under two keys', async () => {
    expect(await verdict(by(KEY_A, CI), by(KEY_B, CI))).toBe('deny');
  });

  it('count one key once, also under two builders', async () => {
    expect(await verdict(by(KEY_A, CI), by(KEY_A, 'https://third.example.com'))).toBe('deny');
    expect(await verdict(by(KEY_A, CI), by(KEY_A, 'https://third.example.com'), by(KEY_B, CI))).toBe('deny');
  });

  it('count only pieces that hold', async () => {
    expect(await verdict(by(KEY_A, CI), by(KEY_B, 'https://third.example.com'))).toBe('deny');
  });
});

describe('a policy is refused', () => {
  const mistake = async (load: () => Promise<unknown>) =>
    ((await load().catch((error: unknown) => error)) as Error).message;
  it.each([
    ['without builders', () => policy('', '[]'), /builders.*must be a list of 1 to 100/],
    [
      'with a signer that it does not have',
      () => policy('', `[{ id: ${CI}, signer: c }]`),
      /line 12.*"c", which is none of/,
    ],
    ['with a level that does not exist', () => policy('', `[{ id: ${CI}, signer: a, level: 4 }]`), /0 to 3/],
    ['with a field that does not exist', () => policy('bulders: 1'), /is unknown.*builders/],
    ['with a condition that is wrong', () => policy('parameters: { p: { cel: "1 +" } }'), /parameters\.p\.cel.*line/],
    ['with a rule that says two things', () => policy('parameters: { p: { any: true, cel: x } }'), /exactly one of/],
    ['with a rule that says nothing', () => policy('parameters: { p: {} }'), /exactly one of/],
    ['with any that is false', () => policy('parameters: { p: { any: false } }'), /must be true/],
    ['with an integer that loses digits', () => policy('parameters: { p: 9007199254740993 }'), /53 bits/],
    ['with a source that has a ref', () => policy(`source: { uri: "${REPOSITORY}@main" }`), /name the ref in "ref"/],
    [
      'with the place of a ref alone',
      () => policy(`source: { uri: ${REPOSITORY}, refParameter: [a] }`),
      /without uriParameter/,
    ],
    ['with no dependency', () => policy('dependencies: {}'), /allow, require/],
    [
      'for another type',
      () =>
        policyOf(
          `version: 1\nname: t\nsigners: { a: { fingerprint: ${KEY_A} } }\nrules:\n  - { name: r, type: spdx, signers: [a], provenance: { builders: [{ id: ${CI}, signer: a }] } }\n`,
        ),
      /not about evidence of the type/,
    ],
  ])('%s', async (_, load, why) => expect(await mistake(load)).toMatch(why));
});
