/**
 * The claims of build services, as Fulcio's public instance certifies them (sigstore/fulcio config/identity/config.yaml,
 * 001376a): the same tokens give the same names and extensions here.
 */

interface ClaimPreset {
  /** Template of the URI in the certificate. */
  readonly name: string;
  /** Template by the name of the extension in `FULCIO_EXTENSIONS`. */
  readonly extensions: Readonly<Record<string, string>>;
}

const GITHUB = 'https://github.com';
const GITLAB = 'https://gitlab.com';

export const CLAIM_PRESETS = {
  github: {
    name: `${GITHUB}/{job_workflow_ref}`,
    extensions: {
      githubWorkflowTrigger: '{event_name}',
      githubWorkflowSHA: '{sha}',
      githubWorkflowName: '{workflow}',
      githubWorkflowRepository: '{repository}',
      githubWorkflowRef: '{ref}',
      buildSignerURI: `${GITHUB}/{job_workflow_ref}`,
      buildSignerDigest: '{job_workflow_sha}',
      runnerEnvironment: '{runner_environment}',
      sourceRepositoryURI: `${GITHUB}/{repository}`,
      sourceRepositoryDigest: '{sha}',
      sourceRepositoryRef: '{ref}',
      sourceRepositoryIdentifier: '{repository_id}',
      sourceRepositoryOwnerURI: `${GITHUB}/{repository_owner}`,
      sourceRepositoryOwnerIdentifier: '{repository_owner_id}',
      buildConfigURI: `${GITHUB}/{workflow_ref}`,
      buildConfigDigest: '{workflow_sha}',
      buildTrigger: '{event_name}',
      runInvocationURI: `${GITHUB}/{repository}/actions/runs/{run_id}/attempts/{run_attempt}`,
      sourceRepositoryVisibilityAtSigning: '{repository_visibility}',
      deploymentEnvironment: '{environment?}',
    },
  },
  gitlab: {
    name: 'https://{ci_config_ref_uri}',
    extensions: {
      buildSignerURI: 'https://{ci_config_ref_uri}',
      buildSignerDigest: '{ci_config_sha}',
      runnerEnvironment: '{runner_environment}',
      sourceRepositoryURI: `${GITLAB}/{project_path}`,
      sourceRepositoryDigest: '{sha}',
      sourceRepositoryRef: 'refs/{ref_type:branch=heads,tag=tags}/{ref}',
      sourceRepositoryIdentifier: '{project_id}',
      sourceRepositoryOwnerURI: `${GITLAB}/{namespace_path}`,
      sourceRepositoryOwnerIdentifier: '{namespace_id}',
      buildConfigURI: 'https://{ci_config_ref_uri}',
      buildConfigDigest: '{ci_config_sha}',
      buildTrigger: '{pipeline_source}',
      runInvocationURI: `${GITLAB}/{project_path}/-/jobs/{job_id}`,
      sourceRepositoryVisibilityAtSigning: '{project_visibility}',
      deploymentEnvironment: '{environment?}',
    },
  },
} as const satisfies Readonly<Record<string, ClaimPreset>>;
