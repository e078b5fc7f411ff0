/**
 * What each purl type says about its names (package-url/purl-spec, the definitions in types/, read in November 2026).
 *
 * A name has two forms. The canonical form follows the definition of its type. The compared form is the same for all names
 * under which the registry of the type finds one package: PyPI takes `Foo.Bar` for `foo-bar`, crates.io takes `a_b` for `a-b`.
 * A rule about a forbidden package must find it under each of its names, so rules use the compared form.
 */

interface TypeRules {
  /** Whether the definition requires a namespace. Prohibited namespaces are in `NO_NAMESPACE`. */
  readonly namespace: 'required' | 'optional' | 'prohibited';
  /** The canonical form of a namespace. */
  readonly canonicalNamespace: (namespace: string) => string;
  /** The canonical form of a name. */
  readonly canonicalName: (name: string) => string;
  readonly canonicalVersion: (version: string) => string;
  /** The compared form of a canonical namespace or name. */
  readonly compared: (part: string) => string;
}

const same = (text: string) => text;
/** Culture-invariant: `toLowerCase` does not depend on the locale. */
const lower = (text: string) => text.toLowerCase();
const upper = (text: string) => text.toUpperCase();

const DEFAULT: TypeRules = {
  namespace: 'optional',
  canonicalNamespace: same,
  canonicalName: same,
  canonicalVersion: same,
  compared: same,
};
const bothLower = { canonicalNamespace: lower, canonicalName: lower };
const none = { namespace: 'prohibited' } as const;
const needed = { namespace: 'required' } as const;

const TYPES: Readonly<Record<string, Partial<TypeRules>>> = {
  alpm: { ...needed, ...bothLower },
  apk: { ...needed, ...bothLower },
  bazel: none,
  bitbucket: { ...needed, ...bothLower },
  bitnami: { ...none, canonicalName: lower },
  brew: bothLower,
  // crates.io refuses a second crate whose name differs in case or in `-` and `_` only.
  cargo: { ...none, compared: (name) => lower(name).replaceAll('_', '-') },
  'chrome-extension': { ...none, canonicalName: lower },
  cocoapods: none,
  composer: { ...needed, ...bothLower },
  conan: {},
  conda: { ...none, compared: lower },
  cpan: { canonicalNamespace: upper },
  cran: none,
  deb: { ...needed, ...bothLower },
  docker: { compared: lower },
  gem: none,
  generic: {},
  git: needed,
  github: { ...needed, ...bothLower },
  // The definition was "lower case" before it was "case sensitive", and both forms stand in SBOMs.
  golang: { ...needed, compared: lower },
  hackage: { ...none, canonicalName: (name) => name.replaceAll('_', '-') },
  hex: bothLower,
  huggingface: { ...needed, canonicalVersion: lower },
  julia: none,
  luarocks: bothLower,
  maven: needed,
  mlflow: none,
  // New names are lower case; a registry holds some old names in mixed case beside the same names in lower case.
  npm: {},
  // NuGet finds packages without regard to case.
  nuget: { ...none, compared: lower },
  oci: { ...none, canonicalName: lower, canonicalVersion: lower },
  opam: none,
  otp: { ...none, canonicalName: lower },
  pub: { ...none, canonicalName: (name) => lower(name).replace(/[^a-z0-9_]/g, '_') },
  // Compared as PEP 503 says: a run of `-`, `_` and `.` is one dash.
  pypi: {
    ...none,
    canonicalName: (name) => lower(name).replaceAll('_', '-'),
    canonicalVersion: lower,
    compared: (name) => name.replace(/[-_.]+/g, '-'),
  },
  qpkg: { ...needed, canonicalNamespace: lower },
  rpm: { ...needed, canonicalNamespace: lower },
  swid: {},
  // The namespace is the host and owner of a repository, and hosts know neither in two cases.
  swift: { ...needed, compared: lower },
  vcpkg: none,
  'vscode-extension': { ...needed, ...bothLower, canonicalVersion: lower },
  yocto: { canonicalNamespace: lower },
};

export function purlTypeRules(type: string): TypeRules {
  return { ...DEFAULT, ...(Object.hasOwn(TYPES, type) ? TYPES[type] : undefined) };
}

export function isRegisteredPurlType(type: string): boolean {
  return Object.hasOwn(TYPES, type);
}
