#!/usr/bin/env bash
# sigstore-js drops a field of a bundle that is spelled in the other way that proto3 JSON allows.
#
# The guess, written down first: a Sigstore bundle is proto3 JSON. Its specification says that parsers accept both the
# lowerCamelCase name of a field and its original name (integratedTime and integrated_time); Go's protojson, which
# sigstore-go and cosign use, does, and can be told to write either. One would expect @sigstore/bundle to read both, or
# else to refuse what it does not know.
#
# What it does (@sigstore/bundle 4.0.0): a bundle whose fields all have their original names is refused as "invalid
# bundle". A bundle in which only integrated_time is spelled so is taken, and the time is gone: the field is unknown, so
# it is dropped, and the entry reads as one that states no time. Unknown fields are dropped in silence everywhere, so the
# same holds for each optional field. A program that rewrites a bundle with sigstore-js writes it without the time.
#
# Prints what it saw and ends with 0; ends with 1 where a version behaves otherwise.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --no-package-lock @sigstore/bundle@4.0.0 >&2
cat > run.cjs <<'JS'
const { bundleFromJSON, bundleToJSON } = require('@sigstore/bundle');
const { version } = require('@sigstore/bundle/package.json');

const hash = Buffer.alloc(32).toString('base64');
const camelCase = {
  mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  verificationMaterial: {
    publicKey: { hint: 'key' },
    tlogEntries: [
      {
        logIndex: '1',
        logId: { keyId: hash },
        kindVersion: { kind: 'hashedrekord', version: '0.0.2' },
        integratedTime: '1700000000',
        inclusionProof: {
          logIndex: '1',
          rootHash: hash,
          treeSize: '2',
          hashes: [hash],
          checkpoint: { envelope: 'log.example.com\n2\n' },
        },
        canonicalizedBody: hash,
      },
    ],
  },
  messageSignature: { messageDigest: { algorithm: 'SHA2_256', digest: hash }, signature: hash },
};
const original = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const renamed = (value, which) =>
  Array.isArray(value)
    ? value.map((item) => renamed(item, which))
    : value !== null && typeof value === 'object'
      ? Object.fromEntries(
          Object.entries(value).map(([name, item]) => [which(name) ? original(name) : name, renamed(item, which)]),
        )
      : value;

function read(json) {
  try {
    const [entry] = bundleToJSON(bundleFromJSON(json)).verificationMaterial.tlogEntries;
    return `taken, integratedTime ${entry.integratedTime ?? 'gone'}`;
  } catch (error) {
    return `refused (${error.message})`;
  }
}

const seen = {
  'all names in camel case': read(camelCase),
  'all names as in the .proto': read(renamed(camelCase, () => true)),
  'only integrated_time as in the .proto': read(renamed(camelCase, (name) => name === 'integratedTime')),
};
console.log(`@sigstore/bundle ${version}`);
for (const [name, result] of Object.entries(seen)) console.log(`  ${name}: ${result}`);
const expected = ['taken, integratedTime 1700000000', 'refused (invalid bundle)', 'taken, integratedTime gone'];
if (Object.values(seen).join('|') !== expected.join('|')) {
  console.log('This is not what was seen before: the finding no longer holds.');
  process.exit(1);
}
JS
node run.cjs
