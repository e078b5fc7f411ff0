import { describe, expect, it } from 'vitest';
import {
  formatPurl,
  isSamePackage,
  PurlProblem,
  parsePurl,
  ruleProblem,
} from '../../../../../merkle/runtime/policy/purl/purl.ts';

/** Text as found, canonical text. */
const CANONICAL: readonly (readonly [string, string])[] = [
  ['pkg:npm/Left-Pad@1.0.0', 'pkg:npm/Left-Pad@1.0.0'],
  ['pkg:npm/%40scope/name@1.0.0', 'pkg:npm/%40scope/name@1.0.0'],
  ['pkg:npm/@scope/name@1.0.0', 'pkg:npm/%40scope/name@1.0.0'],
  ['pkg:npm/event%2Dstream@3.3.6', 'pkg:npm/event-stream@3.3.6'],
  ['PKG:NPM/a@1', 'pkg:npm/a@1'],
  ['pkg://npm/a@1', 'pkg:npm/a@1'],
  ['pkg:///npm//a@1', 'pkg:npm/a@1'],
  ['pkg:npm/a/@1', 'pkg:npm/a@1'],
  ['pkg:npm/a@', 'pkg:npm/a'],
  ['pkg:npm/a@1?b=2&a=1&empty=', 'pkg:npm/a@1?a=1&b=2'],
  ['pkg:npm/a@1?B=x', 'pkg:npm/a@1?b=x'],
  ['pkg:npm/a@1#/./src/../lib/', 'pkg:npm/a@1#src/lib'],
  [
    'pkg:generic/a@1?download_url=https://example.com/a%20b',
    'pkg:generic/a@1?download_url=https:%2F%2Fexample.com%2Fa%20b',
  ],
  ['pkg:generic/a@1?checksum=sha1:aa,sha256:bb', 'pkg:generic/a@1?checksum=sha1:aa%2Csha256:bb'],
  ['pkg:pypi/Foo_Bar@1.0RC1', 'pkg:pypi/foo-bar@1.0rc1'],
  ['pkg:pypi/zope.interface@5', 'pkg:pypi/zope.interface@5'],
  ['pkg:github/Owner/Repo@v1', 'pkg:github/owner/repo@v1'],
  ['pkg:bitbucket/Owner/Repo@abc', 'pkg:bitbucket/owner/repo@abc'],
  ['pkg:golang/github.com/Azure/sdk@v1.0.0#api/v2', 'pkg:golang/github.com/Azure/sdk@v1.0.0#api/v2'],
  ['pkg:maven/org.Example/Core@1?type=zip&classifier=dist', 'pkg:maven/org.Example/Core@1?classifier=dist&type=zip'],
  ['pkg:deb/Debian/CURL@1:7.50-1?arch=i386', 'pkg:deb/debian/curl@1:7.50-1?arch=i386'],
  ['pkg:rpm/Fedora/Curl@7.50-1?epoch=2', 'pkg:rpm/fedora/Curl@7.50-1?epoch=2'],
  ['pkg:apk/Alpine/Curl@7.83-r0', 'pkg:apk/alpine/curl@7.83-r0'],
  ['pkg:alpm/Arch/Pacman@6.0', 'pkg:alpm/arch/pacman@6.0'],
  ['pkg:oci/App@SHA256:AB?tag=1', 'pkg:oci/app@sha256:ab?tag=1'],
  ['pkg:docker/team/app@sha256%3Aab', 'pkg:docker/team/app@sha256:ab'],
  ['pkg:cargo/Rand_Core@0.7', 'pkg:cargo/Rand_Core@0.7'],
  ['pkg:gem/Rails@7', 'pkg:gem/Rails@7'],
  ['pkg:nuget/Newtonsoft.Json@13', 'pkg:nuget/Newtonsoft.Json@13'],
  ['pkg:composer/Vendor/Name@1', 'pkg:composer/vendor/name@1'],
  ['pkg:conan/openssl@3?user=u&channel=c', 'pkg:conan/openssl@3?channel=c&user=u'],
  ['pkg:cpan/author/Mod@1', 'pkg:cpan/AUTHOR/Mod@1'],
  ['pkg:cran/A3@1', 'pkg:cran/A3@1'],
  ['pkg:hex/Acme/Foo@1', 'pkg:hex/acme/foo@1'],
  ['pkg:huggingface/Org/Model@ABCDEF', 'pkg:huggingface/Org/Model@abcdef'],
  ['pkg:swift/github.com/Owner/Lib@1', 'pkg:swift/github.com/Owner/Lib@1'],
  ['pkg:pub/Http-Client@1', 'pkg:pub/http_client@1'],
  ['pkg:hackage/a_b@1', 'pkg:hackage/a-b@1'],
  ['pkg:bitnami/WordPress@6', 'pkg:bitnami/wordpress@6'],
  ['pkg:brew/Tap/Name@1', 'pkg:brew/tap/name@1'],
  ['pkg:luarocks/Ns/Name@1', 'pkg:luarocks/ns/name@1'],
  ['pkg:otp/Cowboy@1', 'pkg:otp/cowboy@1'],
  ['pkg:vscode-extension/Pub/Ext@1.0', 'pkg:vscode-extension/pub/ext@1.0'],
  ['pkg:yocto/Core/Busybox@1', 'pkg:yocto/core/Busybox@1'],
  [
    'pkg:mlflow/Model@1?repository_url=https://adb.databricks.example',
    'pkg:mlflow/model@1?repository_url=https:%2F%2Fadb.databricks.example',
  ],
  [
    'pkg:mlflow/Model@1?repository_url=https://other.example',
    'pkg:mlflow/Model@1?repository_url=https:%2F%2Fother.example',
  ],
];

/** No purl, and a word of why. */
const REFUSED: readonly (readonly [string, string])[] = [
  ['', 'pkg:'],
  ['npm/a@1', 'pkg:'],
  ['pkg%3Anpm/a', 'pkg:'],
  ['https://example.com/a', 'pkg:'],
  ['pkg:npm', 'no type'],
  ['pkg:/a', 'no type'],
  ['pkg:3npm/a', 'no type'],
  ['pkg:n%70m/a', 'no type'],
  ['pkg:npm/', 'no name'],
  ['pkg:npm/@1', 'no name'],
  ['pkg:npm/@scope', 'no name'],
  ['pkg:npm/a b@1', 'space'],
  ['pkg:npm/a\tb@1', 'control'],
  ['pkg:npm/a%0a@1', 'control'],
  ['pkg:npm/é', 'ASCII'],
  ['pkg:npm/%C3', 'percent'],
  ['pkg:npm/%zz', 'percent'],
  ['pkg:npm/event%252Dstream@1', 'encoded twice'],
  ['pkg:npm/%40scope%2Fx/name@1', 'encoded slash'],
  ['pkg:npm/a@1?=x', 'without a key'],
  ['pkg:npm/a@1?a%20b=x', 'without a key'],
  ['pkg:npm/a@1?a=1&A=2', 'twice'],
  ['pkg:npm/a?x=1?y=2', 'percent-encoded'],
  ['pkg:npm/a@1#lib%2F..', 'encoded slash'],
  ['pkg:pypi/ns/name@1', 'namespace'],
  ['pkg:cargo/ns/name@1', 'namespace'],
];

describe('a purl', () => {
  it.each(CANONICAL)('%s is %s', (text, canonical) => {
    expect(formatPurl(parsePurl(text))).toBe(canonical);
    expect(formatPurl(parsePurl(canonical))).toBe(canonical);
  });

  it.each(REFUSED)('%j is refused: %s', (text, why) => {
    expect(() => parsePurl(text)).toThrow(PurlProblem);
    expect(() => parsePurl(text)).toThrow(why);
  });

  it.each([
    ['pkg:maven/log4j-core', 'no namespace'],
    ['pkg:deb/openssl', 'no namespace'],
    ['pkg:npm/scope/name', 'without "@"'],
    ['pkg:npm/event-*', 'wildcard'],
    ['pkg:unheard/a', 'does not define'],
  ])('%s is no purl for a rule: it %s', (text, why) => {
    expect(ruleProblem(parsePurl(text))).toContain(why);
  });

  it('of more than 4,096 characters is refused', () => {
    expect(() => parsePurl(`pkg:npm/${'a'.repeat(5000)}`)).toThrow('longer');
  });

  it('takes the standard library of Go in a rule, which has no namespace', () => {
    expect(ruleProblem(parsePurl('pkg:golang/stdlib'))).toBeUndefined();
  });
});

describe('a purl of a rule', () => {
  const same = (rule: string, found: string) => isSamePackage(parsePurl(rule), parsePurl(found));

  it.each([
    ['pkg:npm/%40scope/name', 'pkg:npm/@scope/name@1'],
    ['pkg:npm/%40scope/name', 'pkg:npm/%40scope%2Fname@1'],
    ['pkg:npm/a', 'pkg:NPM/a@1?vcs_url=x#src'],
    ['pkg:pypi/foo-bar', 'pkg:pypi/Foo__.Bar@1'],
    ['pkg:cargo/rand-core', 'pkg:cargo/Rand_Core'],
    ['pkg:nuget/newtonsoft.json', 'pkg:nuget/Newtonsoft.Json'],
    ['pkg:golang/github.com/Azure/sdk', 'pkg:golang/github.com/azure/sdk'],
    ['pkg:golang/github.com/a/b', 'pkg:golang/github.com%2Fa%2Fb@v1.0.0'],
    ['pkg:deb/debian/openssl', 'pkg:deb/openssl@3'],
    ['pkg:deb/debian/openssl?arch=amd64', 'pkg:deb/debian/openssl@3'],
    ['pkg:deb/debian/openssl?arch=amd64', 'pkg:deb/debian/openssl@3?arch=amd64&distro=debian-12'],
    ['pkg:golang/github.com/a/b#api', 'pkg:golang/github.com/a/b'],
  ])('%s means %s', (rule, found) => {
    expect(same(rule, found)).toBe(true);
  });

  it.each([
    ['pkg:npm/a', 'pkg:npm/A@1'],
    ['pkg:npm/a', 'pkg:npm/%40scope/a@1'],
    ['pkg:npm/a', 'pkg:pypi/a@1'],
    ['pkg:maven/org.a/core', 'pkg:maven/org.a/Core@1'],
    ['pkg:deb/debian/openssl', 'pkg:deb/ubuntu/openssl@3'],
    ['pkg:deb/debian/openssl?arch=amd64', 'pkg:deb/debian/openssl@3?arch=arm64'],
    ['pkg:golang/github.com/a/b#api', 'pkg:golang/github.com/a/b#cmd'],
    ['pkg:cran/a3', 'pkg:cran/A3@1'],
  ])('%s does not mean %s', (rule, found) => {
    expect(same(rule, found)).toBe(false);
  });
});
