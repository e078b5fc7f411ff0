/**
 * How the certificates of common CI systems name a repository, so that a rule only names the repository. The forms come
 * from the configuration of Fulcio's public instance (sigstore/fulcio config/identity/config.yaml, 58e767b).
 *
 * A preset under `watch` matches every certificate that claims the name, from any issuer, so that a rule finds impostors.
 * Under `expect` it also demands the issuer and the fields that only the real system writes.
 */
import { RE2JS } from 're2js';
import type { RuleCondition, TextMatch } from './rules/types.ts';

export type Role = 'watch' | 'expect';

/** Values of one preset as the file has them: text, or a pattern where the parameter allows one. */
export type PresetValues = Readonly<Record<string, TextMatch | undefined>>;

interface Parameter {
  readonly description: string;
  /** Of exact text. */
  readonly form: RegExp;
  readonly example: string;
  readonly required?: true;
  /** A pattern is allowed too. */
  readonly pattern?: true;
  readonly default?: string;
}

export interface Preset {
  readonly title: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** Alternatives. */
  readonly expand: (values: PresetValues, role: Role) => RuleCondition[];
}

const REF: Parameter = {
  description: 'Git ref that was built.',
  form: /^refs\/[^\s]{1,200}$/,
  example: 'refs/heads/main',
  pattern: true,
};
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const HOST = /^[a-z0-9.-]{1,253}$/;
const SLUG = /^[A-Za-z0-9._-]{1,100}$/;

const githubActions: Preset = {
  title: 'GitHub Actions',
  parameters: {
    repository: {
      description: 'Owner and name, in the spelling that GitHub shows.',
      form: /^[A-Za-z0-9._-]{1,100}\/[A-Za-z0-9._-]{1,100}$/,
      example: 'acme/app',
      required: true,
    },
    workflow: {
      description: 'File of the workflow in `.github/workflows`. A reusable workflow of another repository is not one.',
      form: /^[^\s/@]{1,200}\.ya?ml$/,
      example: 'release.yml',
      pattern: true,
    },
    ref: REF,
    issuer: {
      description: 'The identity provider: an enterprise can have one of its own.',
      form: /^https:\/\/\S{1,250}$/,
      example: 'https://token.actions.githubusercontent.com/acme',
      default: 'https://token.actions.githubusercontent.com',
    },
  },
  expand({ repository, workflow, ref, issuer }, role) {
    const url = `https://github.com/${repository}`;
    const file = joined(`${url}/.github/workflows/`, workflow ?? ANY_NAME, '@', ref ?? ANY);
    const byUri = { ...(ref && { sourceRepositoryRef: ref }) };
    if (role === 'expect') {
      const extensions = { sourceRepositoryURI: url, ...byUri };
      return [{ issuer: issuer!, extensions, ...(workflow && { identity: file }) }];
    }
    const anything = workflow === undefined && ref === undefined;
    const built = workflow && { buildConfigURI: file };
    const old = { githubWorkflowRepository: `${repository}`, ...(ref && { githubWorkflowRef: ref }) };
    return [
      { identity: anything ? joined(`${url}/`, ANY) : file },
      { extensions: { sourceRepositoryURI: url, ...byUri, ...built } },
      // Certificates of 2022 have nothing else: they do not name the file of the workflow.
      ...(workflow ? [] : [{ extensions: old }]),
    ];
  },
};

const gitlabCi: Preset = {
  title: 'GitLab CI',
  parameters: {
    project: {
      description: 'Path of the project with its groups.',
      form: /^[A-Za-z0-9._-]{1,100}(\/[A-Za-z0-9._-]{1,100}){1,20}$/,
      example: 'acme/tools/app',
      required: true,
    },
    config: { description: 'File of the pipeline.', form: /^[^\s@]{1,200}$/, example: '.gitlab-ci.yml', pattern: true },
    ref: REF,
    host: { description: 'The GitLab instance.', form: HOST, example: 'gitlab.example.com', default: 'gitlab.com' },
  },
  expand({ project, config, ref, host }, role) {
    const url = `https://${host}/${project}`;
    const file = joined(`${url}//`, config ?? ANY, '@', ref ?? ANY);
    const extensions = { sourceRepositoryURI: url, ...(ref && { sourceRepositoryRef: ref }) };
    if (role === 'expect') return [{ issuer: `https://${host}`, extensions, ...(config && { identity: file }) }];
    return [{ identity: file }, { extensions: { ...extensions, ...(config && { buildConfigURI: file }) } }];
  },
};

const googleCloudBuild: Preset = {
  title: 'Google Cloud Build',
  parameters: {
    serviceAccount: {
      description: 'The service account that the build runs as; its certificates name no repository.',
      form: /^[^\s@]{1,64}@[^\s@]{1,190}$/,
      example: 'release@acme.iam.gserviceaccount.com',
      required: true,
    },
  },
  expand: ({ serviceAccount }, role) => named(serviceAccount!, 'https://accounts.google.com', role),
};

const buildkite: Preset = {
  title: 'Buildkite',
  parameters: {
    organization: { description: 'Slug of the organization.', form: SLUG, example: 'acme', required: true },
    pipeline: { description: 'Slug of the pipeline.', form: SLUG, example: 'app-release', pattern: true },
  },
  expand({ organization, pipeline }, role) {
    const identity = joined(`https://buildkite.com/${organization}/`, pipeline ?? ANY);
    return named(identity, 'https://agent.buildkite.com', role);
  },
};

const circleCi: Preset = {
  title: 'CircleCI',
  parameters: {
    project: { description: 'ID of the project.', form: UUID, example: 'c9b1…-…', required: true },
    organization: {
      description: 'ID of the organization, which is part of the issuer.',
      form: UUID,
      example: '5f0a…-…',
      required: true,
    },
    ref: REF,
  },
  expand({ project, organization, ref }, role) {
    const identity = joined(`https://circleci.com/api/v2/projects/${project}/pipeline-definitions/`, ANY);
    const conditions = named(identity, `https://oidc.circleci.com/org/${organization}`, role);
    return conditions.map((each) => ({ ...each, ...(ref && { extensions: { sourceRepositoryRef: ref } }) }));
  },
};

const codefresh: Preset = {
  title: 'Codefresh',
  parameters: {
    account: { description: 'Name of the account.', form: SLUG, example: 'acme', required: true },
    pipeline: {
      description: 'Project and name of the pipeline.',
      form: /^[A-Za-z0-9._ -]{1,100}\/[A-Za-z0-9._ -]{1,100}$/,
      example: 'app/release',
      required: true,
    },
    ref: { ...REF, description: 'Branch or tag that was built.', form: /^\S{1,200}$/, example: 'main' },
  },
  expand({ account, pipeline, ref }, role) {
    const identity = joined(`https://g.codefresh.io/${account}/${pipeline}:`, ANY);
    const conditions = named(identity, 'https://oidc.codefresh.io', role);
    return conditions.map((each) => ({ ...each, ...(ref && { extensions: { sourceRepositoryRef: ref } }) }));
  },
};

const spiffe: Preset = {
  title: 'workloads of SPIFFE',
  parameters: {
    trustDomain: {
      description: 'The trust domain of the SPIFFE IDs.',
      form: /^[a-z0-9._-]{1,255}$/,
      example: 'example.org',
      required: true,
    },
    path: {
      description:
        'The path below it: `*` is any part of one segment, and `**` at the end one or more segments. Without it the whole trust domain.',
      // A segment of dots and stars alone could stand for a relative one.
      form: /^(?!.*\*\*.)(?!.*[^/]\*\*)(?:\/(?:\*\*?|(?=[^/]*[A-Za-z0-9_-])[A-Za-z0-9._*-]+)){1,64}$/,
      example: '/build/**',
    },
    issuer: {
      description:
        'The identity provider that the certificate must name too, for certificates of a certificate authority.',
      form: /^\S{1,1024}$/,
      example: 'https://id.example.org',
    },
  },
  expand({ trustDomain, path = '', issuer }, role) {
    const name = RE2JS.quote(`spiffe://${trustDomain}`);
    if (role === 'expect') {
      const below = path === '' ? `(?:/${EXPECTED.below})?` : pathPattern(`${path}`, EXPECTED);
      return [{ identity: { pattern: `${name}${below}` }, ...(issuer && { issuer }) }];
    }
    const written = `${name}${path === '' ? '/.*' : pathPattern(`${path}`, WATCHED)}`;
    // Scheme and trust domain have one spelling, and an impostor may take another one.
    const anySpelling = { pattern: path === '' ? `(?i:${name}(?:[:/?#].*)?)` : `(?i:${written})` };
    return [{ identity: { pattern: written } }, { identity: anySpelling }];
  },
};

/** A segment of a SPIFFE ID's path, which is not `.` and not `..`: SPIFFE-ID section 2.2. */
const SEGMENT = '(?:[A-Za-z0-9_-]|\\.[A-Za-z0-9_-]|\\.\\.[A-Za-z0-9._-])[A-Za-z0-9._-]*';

/** What the stars of a path stand for, in RE2. */
interface Stars {
  /** `*` beside other characters of its segment. */
  readonly part: string;
  /** `*` alone. */
  readonly segment: string;
  /** `**`. */
  readonly below: string;
}

const EXPECTED: Stars = { part: '[A-Za-z0-9._-]*', segment: SEGMENT, below: `${SEGMENT}(?:/${SEGMENT})*` };
const WATCHED: Stars = { part: '[^/]*', segment: '[^/]*', below: '.*' };

function pathPattern(path: string, { part, segment, below }: Stars): string {
  const segments = path.split('/').slice(1);
  return segments
    .map((one) => {
      if (one === '**') return `/${below}`;
      return one === '*' ? `/${segment}` : `/${one.split('*').map(RE2JS.quote).join(part)}`;
    })
    .join('');
}

/** By their name in a condition. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  githubActions,
  gitlabCi,
  googleCloudBuild,
  buildkite,
  circleCi,
  codefresh,
  spiffe,
};

const ANY: TextMatch = { pattern: '.*' };
const ANY_NAME: TextMatch = { pattern: '[^/@]+' };

function named(identity: TextMatch, issuer: string, role: Role): RuleCondition[] {
  return [role === 'watch' ? { identity } : { identity, issuer }];
}

/** Joins the parts: text where all parts are text, else a pattern. */
function joined(...parts: readonly TextMatch[]): TextMatch {
  if (parts.every((part) => typeof part === 'string')) return parts.join('');
  const patterns = parts.map((part) => (typeof part === 'string' ? RE2JS.quote(part) : `(?:${part.pattern})`));
  return { pattern: patterns.join('') };
}
